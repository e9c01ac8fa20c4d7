"""Waiting for a prompt that a server has accepted: the websocket tells, the history has the last word.

Not here: the messages (`following`), sending (`client`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from ..errors import InputError, LLMSegError
from .channel import Channel
from .following import Follower, Listener
from .limits import ServerError
from .untrusted import as_mapping, one_line
from .wire import Wire

__all__ = ["Ticket"]

TICK = 0.5  # seconds; on Windows a longer wait would make Ctrl-C wait too
LAST_WORDS = 1.0  # seconds for messages that are still on their way when the history knows the end


class Ticket:
    """One prompt in a server's hands.

    Args:
        prompt_id: ours, or what the server made of it.
    """

    def __init__(self, wire: Wire, listener: Listener) -> None:
        self.prompt_id = str(uuid.uuid4())
        self._wire = wire
        self._limits = wire.limits
        self._place = wire.address.place
        self._listener = listener
        self._offered = False
        self._finished = False
        self._queue_told = False
        self._contact = time.monotonic()

    def offer(self) -> str:
        """The id to send; from now on the server may have the prompt."""
        self._offered = True
        return self.prompt_id

    def wait(self, channel: Channel, follower: Follower) -> Mapping[str, Any]:
        """Follow until the history has a record of the prompt.

        Raises:
            ServerError: the server is gone or has lost the prompt.
        """
        self._contact = time.monotonic()
        look = self._contact + self._limits.poll
        while True:
            if self._listen(channel, follower, look - time.monotonic()):
                look = 0.0
            if not channel.is_open:
                look = min(look, time.monotonic() + self._limits.poll)
            if time.monotonic() < look:
                continue
            record = self._look(channel)
            if record is not None:
                end = time.monotonic() + LAST_WORDS
                while channel.is_open and not self._finished and time.monotonic() < end:
                    self._listen(channel, follower, end - time.monotonic())
                return record
            follows = channel.is_open and not self._finished
            look = time.monotonic() + (self._limits.idle if follows else self._limits.poll)

    def take_back(self) -> None:
        """Remove the prompt if it waits, stop it if it runs; others are left alone, and so is a silent server."""
        if not self._offered:
            return
        with suppress(LLMSegError):
            self._wire.tell("/queue", {"delete": [self.prompt_id]}, self._limits.cancel)
        with suppress(LLMSegError):
            # Asked first: an old server stops whatever runs, whoever sent it.
            if self.prompt_id in self._queue(timeout=self._limits.cancel)[0]:
                self._wire.tell("/interrupt", {"prompt_id": self.prompt_id}, self._limits.cancel)

    def _listen(self, channel: Channel, follower: Follower, seconds: float) -> bool:
        """Take one message if one comes; answers whether it says that the prompt is finished."""
        message = channel.receive(max(0.0, min(TICK, seconds)))
        if message is None or message[1].get("prompt_id", self.prompt_id) != self.prompt_id:
            return False
        finished = follower.take(*message)
        self._finished |= finished and "prompt_id" in message[1]
        return finished

    def _look(self, channel: Channel) -> Mapping[str, Any] | None:
        """The record of a finished prompt, None while it waits or runs."""
        try:
            # Asked twice: it may end between the first two questions.
            record = self._record() or (None if self._is_queued() else self._record() or {})
        except InputError as error:
            silent = time.monotonic() - max(self._contact, channel.heard)
            if silent < self._limits.gone:
                return None
            problem = f"no sign of life for {silent:.0f} s; expected an answer. The prompt may still run there."
            raise ServerError(problem, place=self._place) from error
        if record == {}:
            problem = f"prompt {one_line(self.prompt_id, 60)} is neither queued nor finished; expected either."
            remedy = "The server was restarted, or somebody removed the prompt."
            raise ServerError(f"{problem} {remedy}", place=self._place)
        self._contact = time.monotonic()
        return record

    def _record(self) -> Mapping[str, Any] | None:
        answer = as_mapping(self._wire.get(f"/history/{quote(self.prompt_id, safe='')}"))
        record = answer.get(self.prompt_id)
        return record if isinstance(record, dict) and record else None

    def _is_queued(self) -> bool:
        """Whether it waits or runs; the first time that it waits behind others, says so."""
        running, pending = self._queue()
        if self.prompt_id in running:
            return True
        if self.prompt_id not in pending:
            return False
        ahead = len(running) + pending.index(self.prompt_id)
        if ahead and not self._queue_told:
            self._queue_told = True
            self._listener.warning(f"{self._place}: {ahead} prompt{'s' * (ahead > 1)} ahead in the queue; waiting.")
        return True

    def _queue(self, **options: float) -> tuple[list[str], list[str]]:
        """Ids of what runs, and of what waits, next first."""
        queue = as_mapping(self._wire.get("/queue", **options))
        lists = [queue.get(key) for key in ("queue_running", "queue_pending")]
        running, pending = (
            [entry for entry in found if isinstance(entry, list) and len(entry) > 1] if isinstance(found, list) else []
            for found in lists
        )
        pending.sort(key=lambda entry: entry[0] if isinstance(entry[0], (int, float)) else 0)
        return [str(entry[1]) for entry in running], [str(entry[1]) for entry in pending]
