"""Sends a prompt to a running ComfyUI, follows it to its end, and brings the results home.

The websocket is opened before the prompt is sent, so that nothing is missed.
Not here: conversion and overrides (`graph`), exit codes (`run`).

Source: the HTTP and websocket interface of the ComfyUI server, restated.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import InputError, WorkflowError
from ..graph import Problem, RunResult
from .address import parse_address
from .channel import Channel
from .following import Follower, Listener
from .limits import Limits
from .refusals import read_problems
from .results import Fetcher
from .untrusted import as_mapping, without_end
from .uploads import FileFinder, upload_inputs
from .waiting import Ticket
from .wire import Wire

__all__ = ["ServerClient", "ServerRun"]


@dataclass(frozen=True)
class ServerRun:
    """What a server did with a prompt.

    Args:
        result: as of a local run; `ui` names the files as they are called here.
        problems: why some outputs were left out by the server's validation.
        missing: one line for each result that could not be fetched.
    """

    result: RunResult
    problems: tuple[Problem, ...] = ()
    missing: tuple[str, ...] = ()


class ServerClient:
    """One server; use it in a `with` statement.

    Args:
        url: http or https, with a path and with user:password@ if need be; the latter is never shown.
        roots: the folders for results: output and temp.
        listener: what gets events, progress and warnings, such as a reporter.
        find_input: finds a local file by the name in a prompt, None where there is none; without it nothing is sent.
        limits: how long and how much.

    Raises:
        InputError: no address, or no server behind it; until the prompt is accepted, nothing has run.
    """

    def __init__(
        self,
        url: str,
        roots: Mapping[str, Path],
        listener: Listener,
        *,
        find_input: FileFinder | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.address = parse_address(url)
        self._roots = roots
        self._listener = listener
        self._find_input = find_input
        self._wire = Wire(self.address, self.limits)
        self._client_id = uuid.uuid4().hex
        self._definitions: dict[str, dict[str, Any]] | None = None

    def __enter__(self) -> ServerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._wire.close()

    def definitions(self) -> dict[str, dict[str, Any]]:
        """The server's node classes, for `NodeDefinition.from_object_info`; asked for once.

        Raises:
            InputError: no answer, or not that of a ComfyUI server.
        """
        if self._definitions is None:
            answer = self._wire.get("/object_info")
            if not isinstance(answer, dict) or not all(isinstance(record, dict) for record in answer.values()):
                problem = "GET /object_info answered no node classes; expected a ComfyUI server."
                raise InputError(problem, place=self.address.place)
            self._definitions = answer
        return self._definitions

    def run(self, prompt: Mapping[str, Any], workflow: Mapping[str, Any] | None = None) -> ServerRun:
        """Run a prompt there.

        Args:
            prompt: the API form.
            workflow: the UI form, which the server writes into its pictures.

        Raises:
            InputError: no such server, or a file cannot be sent; nothing has run.
            WorkflowError: the server's validation leaves nothing to run.
            ServerError: the server is gone or has lost the prompt.
            KeyboardInterrupt: the prompt was taken back before.
        """
        if self._find_input is not None:
            prompt = upload_inputs(prompt, self.definitions(), self._wire, self._find_input, self.limits)
        channel = Channel(self.address, self._client_id, self.limits)
        follower = Follower(prompt, self._listener)
        ticket = Ticket(self._wire, self._listener)
        try:
            if not channel.open():
                fault = without_end(channel.fault)
                self._listener.warning(f"{self.address.place}: no websocket ({fault}); the prompt is followed without.")
            problems = self._send(prompt, workflow, ticket)
            record = ticket.wait(channel, follower)
        except KeyboardInterrupt:
            ticket.take_back()
            raise
        finally:
            channel.close()
        follower.settle(record)
        fetcher = Fetcher(self._wire, self._roots, self._listener, self.limits)
        follower.result.ui = fetcher.fetch(record.get("outputs"))
        return ServerRun(follower.result, tuple(problems), tuple(fetcher.missing))

    def _send(self, prompt: Mapping[str, Any], workflow: Mapping[str, Any] | None, ticket: Ticket) -> list[Problem]:
        body = {"prompt": prompt, "client_id": self._client_id, "prompt_id": ticket.offer()}
        body["extra_data"] = {"extra_pnginfo": {"workflow": workflow}} if workflow is not None else {}
        status, answer = self._wire.post("/prompt", body, refusal=400)
        problems = read_problems(answer, prompt)
        prompt_id = as_mapping(answer).get("prompt_id")
        if status == 400 and problems:
            raise WorkflowError([problem.message for problem in problems])
        if status == 400 or not isinstance(prompt_id, str):
            problem = f"POST /prompt answered {status} and no prompt_id; expected one. Is it a ComfyUI server?"
            raise InputError(problem, place=self.address.place)
        ticket.prompt_id = prompt_id  # an old server makes up its own
        return problems
