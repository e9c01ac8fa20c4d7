"""Runs prompts without ComfyUI: the nodes, the folders and the device that they are given, and an executor.

The command makes one; with `--engine ray` so does every worker, from the same settings.

Not here: which module the nodes are in (`run`, which gives it), what is run (`graph`), many images (`batch_runs`).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from .batch import BatchImage, ImageSlot, fetched_files
from .batch_runs import Outcome
from .commands import DONE, FAILED, INTERRUPTED, INVALID, PARTLY
from .errors import InputError
from .graph import (
    Event,
    Executor,
    NodeDefinition,
    Problem,
    ResultCache,
    RunResult,
    StoredResult,
    Validation,
    define_nodes,
    load_packs,
    validate_prompt,
)
from .writer import BackgroundWriter

__all__ = ["Job", "Listener", "Runner", "RunnerSettings"]

STOPPED = "InterruptProcessingException"  # what a node of a pack raises when it was asked to stop


class Listener(Protocol):
    """Who is told what happens; the reporters are, and what a worker sends to them."""

    def event(self, event: Event) -> None:
        """A node came a step further."""

    def warning(self, message: str) -> None:
        """Something worth knowing that stops nothing."""

    def problems(self, problems: Sequence[Problem], source: str) -> None:
        """What validation found."""


@dataclass(frozen=True)
class RunnerSettings:
    """What a person decided about running, whatever the workflow.

    Args:
        roots: folder behind each kind of file: input, output, temp.
        device: a torch device name.
        network: a name in `options.NETWORK`; empty for what the user's configuration says.
        workflow_folder: where the workflow lies; None where it comes from a stream.
        trusted_files: typed on the command line, so they may lie outside the roots.
        packs: folders of other people's nodes.
        use_cache: whether results are reused.
        repeat_outputs: whether output nodes run for every prompt anew, as those of a batch do: every image has its
            files.
        keep_going: after a failure run what does not depend on it.
        strict: an unknown node is a problem even where no output needs it.
    """

    roots: Mapping[str, Path]
    device: str = "cpu"
    network: str = ""
    workflow_folder: Path | None = None
    trusted_files: frozenset[Path] = frozenset()
    packs: tuple[Path, ...] = ()
    use_cache: bool = True
    repeat_outputs: bool = False
    keep_going: bool = False
    strict: bool = False


@dataclass(frozen=True)
class Job:
    """A workflow, ready to run.

    Args:
        prompt: the API form, everything set.
        source: how messages call the workflow.
        targets: ids of the outputs wanted; None for all.
        editor: the UI form, which saved pictures carry; None where there is none.
    """

    prompt: Mapping[str, Any]
    source: str
    targets: Sequence[str] | None = None
    editor: Mapping[str, Any] | None = None


class Runner:
    """The registry, the host of the nodes, and the executor.

    Args:
        nodes: the node pack.
        settings: what a person decided.
        listener: who is told.
        stack: whatever has to be undone after the last run.
        known: results by node id that were computed elsewhere, for every job.
    """

    def __init__(
        self,
        nodes: ModuleType,
        settings: RunnerSettings,
        listener: Listener,
        stack: ExitStack,
        known: Mapping[str, StoredResult] | None = None,
    ) -> None:
        self.settings, self.listener, self.host = settings, listener, nodes.host
        self._package = nodes.__name__
        self.classes: dict[str, type] = {**nodes.core.CORE_NODES, **nodes.NODE_CLASS_MAPPINGS}
        self.titles = {**nodes.core.CORE_DISPLAY_NAMES, **nodes.NODE_DISPLAY_NAME_MAPPINGS}
        stored = importlib.import_module(f"{nodes.__name__}.stored")
        self._store: Any = stored.StoredResults() if settings.use_cache else None
        self.executor = Executor(
            self.classes,
            cache=ResultCache() if settings.use_cache else None,
            store=self._store,
            on_event=listener.event,
            keep_going=settings.keep_going,
            repeat_outputs=settings.repeat_outputs,
            known=known,
        )
        self._use_host()
        if settings.packs:
            self._load_packs(importlib.import_module(f"{nodes.__name__}.services"), stack)

    def definitions(self) -> dict[str, NodeDefinition]:
        """What is installed."""
        return define_nodes(self.classes, self.titles)

    def validate(self, job: Job) -> Validation:
        """Check a job, and tell what is wrong with it."""
        known = self.executor.setup.known
        strict = self.settings.strict
        validation = validate_prompt(job.prompt, self.classes, targets=job.targets, strict=strict, known=known)
        for warning in validation.warnings:
            self.listener.warning(f"{job.source}, {warning}")
        self.listener.problems(validation.problems, job.source)
        return validation

    def run(self, job: Job) -> Outcome:
        """Validate, and run what can be run."""
        validation = self.validate(job)
        if not validation.outputs:
            return Outcome(INVALID, error="; ".join(problem.message for problem in validation.problems))
        self.check_device()
        pnginfo = {"workflow": job.editor} if job.editor is not None else None
        with redirect_stdout(sys.stderr):  # nodes may print; standard output is for results
            result = self.executor.run(validation.prompt, validation.outputs, extra_pnginfo=pnginfo)
        if not result.errors:
            return Outcome(PARTLY if validation.problems else DONE, result)
        stopped = type(result.errors[0].__cause__).__name__ == STOPPED
        return Outcome(INTERRUPTED if stopped else FAILED, result, str(result.errors[0]))

    def run_image(self, job: Job, slot: ImageSlot, image: BatchImage, folder: Path) -> Outcome:
        """Run a job on one image, with everything that it writes below `folder`."""
        with self.reading(image, folder):
            return self.run(self.fill(job, slot, image))

    @contextmanager
    def batching(self) -> Iterator[BackgroundWriter]:
        """Decode images before their turn, and let another thread write what is kept, until the batch is over."""
        before = self.host.headless()
        ahead = importlib.import_module(f"{self._package}.lookahead").Lookahead
        decode = importlib.import_module(f"{self._package}.core.reading").read_image
        together = None if self.settings.use_cache else 1  # then every image has an encoder of its own
        with BackgroundWriter() as writer, ahead(decode, together) as lookahead:
            self.host.use_headless(replace(before, writer=writer, lookahead=lookahead))
            if self._store is not None:
                self._store.later = writer.do
            try:
                yield writer
            finally:
                self.host.use_headless(before)
                if self._store is not None:
                    self._store.later = None

    def expect(self, image: BatchImage, upcoming: Sequence[BatchImage]) -> None:
        """Say, while `batching`, whose turn it is and which images come next."""
        self.host.headless().lookahead.expect(image.path.resolve(), [other.path.resolve() for other in upcoming])

    def fill(self, job: Job, slot: ImageSlot, image: BatchImage) -> Job:
        """The job of one image."""
        return replace(job, prompt=slot.fill(job.prompt, image, self.settings.roots["input"]))

    @contextmanager
    def reading(self, image: BatchImage, output_folder: Path) -> Iterator[None]:
        """Let the nodes read an image wherever it lies, and write below a folder of its own."""
        before = self.host.headless()
        trusted, fetched = self.settings.trusted_files | {image.path}, fetched_files([image])
        here = replace(before, output_folder=output_folder, trusted_files=trusted, fetched_files=fetched)
        self.host.use_headless(here)
        try:
            yield
        finally:
            self.host.use_headless(before)

    def compute(self, prompt: Mapping[str, Any], node_ids: Sequence[str]) -> tuple[RunResult, dict[str, StoredResult]]:
        """Run some nodes of a validated prompt for their results, on the CPU where the device is another machine's."""
        before = self.host.headless()
        try:
            self.check_device()
        except InputError:
            self.host.use_headless(replace(before, device="cpu"))
        try:
            with redirect_stdout(sys.stderr):
                return self.executor.compute(prompt, node_ids)
        finally:
            self.host.use_headless(before)

    def check_device(self) -> None:
        """A device that cannot be used is bad usage, found before anything runs.

        Raises:
            InputError: it cannot.
        """
        self.host.torch_device()

    def _use_host(self) -> None:
        """Give the nodes their folders, device and network."""
        settings = self.settings
        if settings.network:
            os.environ["HF_HUB_OFFLINE"] = "1"  # what the libraries that download models go by
        self.host.use_headless(
            self.host.HeadlessHost(
                input_folder=settings.roots["input"],
                output_folder=settings.roots["output"],
                temp_folder=settings.roots["temp"],
                device=settings.device,
                on_progress=self.executor.progress,
                workflow_folder=settings.workflow_folder,
                network=settings.network,
                trusted_files=settings.trusted_files,
            )
        )

    def _load_packs(self, services: ModuleType, stack: ExitStack) -> None:
        """Add the classes of other people's packs to the registry; what they lack is a warning."""
        stack.enter_context(services.installed(self.classes, self.titles, self.settings.packs))
        self.executor.setup.before_call = services.before_call
        for problem in load_packs(self.settings.packs, self.classes, self.titles).problems:
            self.listener.warning(str(problem))
