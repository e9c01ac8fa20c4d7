"""Run a ComfyUI workflow with no ComfyUI: `python -m llmseg.run workflow.json`.

The composition root: the only file that loads the nodes, and nobody imports it. Exit codes: 0 done,
1 a node failed, 2 bad usage or an invalid workflow and nothing executed, 3 partly done, 130 interrupted.

Not here: what can be typed (`arguments`), formats, validation, execution (`graph`), a remote server (`serving`),
what a person sees (`reporting`).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from . import __version__
from .arguments import read_arguments
from .batch import BatchImage, ImageSlot, find_image_slot, list_images
from .batch_runs import BatchRun, Outcome, hash_workflow, run_batch
from .commands import DONE, FAILED, INTERRUPTED, INVALID, PARTLY, use_utf8
from .errors import InputError, LLMSegError, WorkflowError, located
from .graph import (
    Executor,
    NodeDefinition,
    ResultCache,
    RunResult,
    Validation,
    Workflow,
    apply_overrides,
    define_nodes,
    find_node,
    load_packs,
    read_object_info,
    read_stream,
    read_workflow,
    to_prompt,
    validate_prompt,
)
from .reporting import JsonReporter, Reporter, TextReporter

NODES_MODULE = "llmseg_nodes"  # private: `nodes` is ComfyUI's own name

STOPPED = "InterruptProcessingException"  # what a node of a pack raises when it was asked to stop
LONGEST_PATH = 4096  # characters; beyond it the value is surely a text

Prompt = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    use_utf8()
    options = read_arguments(arguments)
    reporter: Reporter = JsonReporter() if options.json else TextReporter()
    handler = _LogHandler(reporter)
    logging.getLogger("llmseg").addHandler(handler)
    try:
        with ExitStack() as stack:
            return _Session(options, reporter, stack).run()
    except WorkflowError as error:
        reporter.refused(error)
        _show_traceback(options.debug)
        return INVALID
    except LLMSegError as error:
        reporter.failure(str(error))
        _show_traceback(options.debug)
        return INVALID
    except BrokenPipeError:  # whoever read the output has left; nothing more can be said
        sys.stdout = None  # so that the interpreter does not flush into it
        return FAILED
    except KeyboardInterrupt:
        reporter.failure("interrupted; files already written stay.")
        return INTERRUPTED
    finally:
        logging.getLogger("llmseg").removeHandler(handler)


class _LogHandler(logging.Handler):
    """Hands what the library has to say to the reporter."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.WARNING)
        self.reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self.reporter.warning(record.getMessage())


class _Session:
    """One call of the command: the registry, the folders, and the workflow as a prompt."""

    def __init__(self, options: argparse.Namespace, reporter: Reporter, stack: ExitStack) -> None:
        self.options = options
        self.reporter = reporter
        self.nodes = load_nodes()
        self.classes: dict[str, type] = {**self.nodes.core.CORE_NODES, **self.nodes.NODE_CLASS_MAPPINGS}
        self.titles = {**self.nodes.core.CORE_DISPLAY_NAMES, **self.nodes.NODE_DISPLAY_NAME_MAPPINGS}
        self.roots = _folders(options)
        self.images = list_images(options.images)
        self.targets: Sequence[str] | None = None
        self.executor = Executor(
            self.classes,
            cache=None if options.no_cache else ResultCache(),
            store=None if options.no_cache else importlib.import_module(f"{NODES_MODULE}.stored").StoredResults(),
            on_event=reporter.event,
            keep_going=options.keep_going,
        )
        self._use_host()
        if options.nodes:
            self._load_packs(stack)

    def run(self) -> int:
        """Do what was asked for; returns the exit code."""
        options = self.options
        if options.list_nodes:
            self.reporter.nodes(define_nodes(self.classes, self.titles))
            return DONE
        if options.workflow is None:
            raise InputError("no workflow; expected the path of a file, or - for standard input.", place="usage")
        workflow = _read(options)
        for warning in workflow.warnings:
            self.reporter.warning(f"{workflow.source}, {warning}")
        if options.server:
            return self._run_there(workflow)
        with located(workflow.source):
            definitions = self._definitions()
            prompt = self._prompt(workflow, definitions)
            self.targets = [find_node(prompt, name, "--only") for name in options.only] or workflow.targets
            slot = find_image_slot(prompt, definitions, options.bind) if self.images else None
        if slot is not None:
            return self._run_each(workflow, prompt, slot)
        return self._print(prompt) if options.print_prompt else self._run_one(workflow, prompt)

    # -- from the file to a prompt ----------------------------------------------------------------

    def _definitions(self) -> dict[str, NodeDefinition]:
        """What is installed, and below it what a server says it has."""
        installed = define_nodes(self.classes, self.titles)
        if self.options.object_info is None:
            return installed
        return {**_foreign(read_object_info(self.options.object_info)), **installed}

    def _prompt(self, workflow: Workflow, definitions: dict[str, NodeDefinition]) -> Prompt:
        if workflow.prompt is not None:
            prompt = workflow.prompt
        else:
            assert workflow.editor is not None
            conversion = to_prompt(
                workflow.editor, definitions, pick=self.options.dynamic_prompts, strict=self.options.strict
            )
            prompt = conversion.prompt
            for warning in conversion.warnings:
                self.reporter.warning(f"{workflow.source}, {warning}")
        return apply_overrides(prompt, definitions, self.options.set)

    def _print(self, prompt: Prompt) -> int:
        print(json.dumps(prompt, indent=2))
        return DONE

    # -- running ----------------------------------------------------------------------------------

    def _validate(self, workflow: Workflow, prompt: Prompt) -> Validation:
        validation = validate_prompt(prompt, self.classes, targets=self.targets, strict=self.options.strict)
        for warning in validation.warnings:
            self.reporter.warning(f"{workflow.source}, {warning}")
        self.reporter.problems(validation.problems, workflow.source)
        return validation

    def _run_one(self, workflow: Workflow, prompt: Prompt) -> int:
        outcome = self._try(workflow, prompt)
        self._tell(workflow, outcome.result, self.roots["output"])
        return outcome.code

    def _tell(self, workflow: Workflow, result: RunResult | None, output: Path) -> None:
        """What a run wrote, said, and failed at; None where nothing ran."""
        if result is not None:
            self.reporter.finished(result, {**self.roots, "output": output})
            for error in result.errors:
                self.reporter.failure(f"{workflow.source}, {error}")
                _show_traceback(self.options.debug, error)

    def _try(self, workflow: Workflow, prompt: Prompt) -> Outcome:
        """Validate, and run unless that is all that was asked for."""
        validation = self._validate(workflow, prompt)
        if not validation.outputs or (self.options.check and validation.problems):
            return Outcome(INVALID, error="; ".join(problem.message for problem in validation.problems))
        if self.options.check:
            self.reporter.checked(workflow.source, len(validation.prompt), len(validation.outputs))
            return Outcome(DONE)
        self.nodes.host.torch_device()  # a device that cannot be used is bad usage, found before anything runs
        pnginfo = {"workflow": workflow.editor} if workflow.editor is not None else None
        with redirect_stdout(sys.stderr):  # nodes may print; standard output is for results
            result = self.executor.run(validation.prompt, validation.outputs, extra_pnginfo=pnginfo)
        if not result.errors:
            return Outcome(PARTLY if validation.problems else DONE, result)
        stopped = type(result.errors[0].__cause__).__name__ == STOPPED
        return Outcome(INTERRUPTED if stopped else FAILED, result, str(result.errors[0]))

    def _run_each(self, workflow: Workflow, prompt: Prompt, slot: ImageSlot) -> int:
        """Once per image."""
        filled = {image.path: slot.fill(prompt, image.path, self.roots["input"]) for image in self.images}
        if self.options.print_prompt or self.options.check:
            look = self._print if self.options.print_prompt else partial(self._run_one, workflow)
            return max([look(each) for each in filled.values()])

        def run(image: BatchImage, folder: Path) -> Outcome:
            host = self.nodes.host
            before = host.use_headless(replace(host.headless(), output_folder=folder))
            try:
                return self._try(workflow, filled[image.path])
            finally:
                host.use_headless(before)

        batch = BatchRun(
            self.roots["output"], hash_workflow(prompt, slot, __version__, self.targets), self.options.resume
        )
        with batch.opened():
            return run_batch(batch, self.images, run, self.reporter, partial(self._tell, workflow))

    def _run_there(self, workflow: Workflow) -> int:
        """Run on a server."""
        from .serving import ServerClient, ServerError, find_in

        with ServerClient(
            self.options.server, self.roots, self.reporter, find_input=find_in(self.roots["input"])
        ) as client:
            definitions = _foreign(client.definitions())
            with located(workflow.source):
                prompt = self._prompt(workflow, definitions)
            if self.options.print_prompt:
                return self._print(prompt)
            try:
                run = client.run(prompt, workflow.editor)
            except WorkflowError as refusal:
                refusal.place = workflow.source
                raise
            except ServerError as lost:
                self.reporter.failure(str(lost))
                return FAILED
        self.reporter.problems(run.problems, workflow.source)
        self.reporter.finished(run.result, self.roots)
        for error in run.result.errors:
            self.reporter.failure(f"{workflow.source}, {error}")
        if run.result.errors:
            return FAILED
        return PARTLY if run.problems or run.missing else DONE

    # -- the host ---------------------------------------------------------------------------------

    def _use_host(self) -> None:
        """Give the nodes their folders, device and network."""
        options = self.options
        if options.offline or options.frozen:
            os.environ["HF_HUB_OFFLINE"] = "1"  # what the libraries that download models go by
        named = options.workflow is not None and options.workflow != "-"
        self.nodes.host.use_headless(
            self.nodes.host.HeadlessHost(
                input_folder=self.roots["input"],
                output_folder=self.roots["output"],
                temp_folder=self.roots["temp"],
                device=options.device,
                on_progress=self.executor.progress,
                workflow_folder=Path(options.workflow).parent if named else None,
                network="frozen" if options.frozen else "offline" if options.offline else "",
                trusted_files=frozenset([*_typed_files(options.set), *(image.path for image in self.images)]),
            )
        )

    def _load_packs(self, stack: ExitStack) -> None:
        """Add the classes of other people's packs to the registry; what they lack is a warning."""
        services = importlib.import_module(f"{NODES_MODULE}.services")
        stack.enter_context(services.installed(self.classes, self.titles, self.options.nodes))
        self.executor.setup.before_call = services.before_call
        for problem in load_packs(self.options.nodes, self.classes, self.titles).problems:
            self.reporter.warning(str(problem))


def load_nodes() -> ModuleType:
    """The node pack, from the checkout or from the installed package, under a private name; loaded once."""
    if NODES_MODULE not in sys.modules:
        here = Path(__file__).parent
        folder = next(path for path in (here / "nodes", here.parent / "nodes") if path.is_dir())
        spec = importlib.util.spec_from_file_location(
            NODES_MODULE, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[NODES_MODULE] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[NODES_MODULE])
    importlib.import_module(f"{NODES_MODULE}.core")
    return sys.modules[NODES_MODULE]


def _read(options: argparse.Namespace) -> Workflow:
    if options.workflow == "-":
        return read_stream(sys.stdin.buffer, "standard input", options.prefer)
    return read_workflow(Path(options.workflow), options.prefer)


def _foreign(records: dict[str, Any]) -> dict[str, NodeDefinition]:
    return {name: NodeDefinition.from_object_info(name, record) for name, record in records.items()}


def _folders(options: argparse.Namespace) -> dict[str, Path]:
    """The folder behind each kind of file."""
    beside = Path(options.workflow or "").parent / "input"
    return {
        "input": options.input_dir or (beside if beside.is_dir() else Path.cwd()),
        "output": options.output,
        "temp": options.temp_dir or options.output / "temp",
    }


def _typed_files(assignments: Sequence[str]) -> list[Path]:
    """Paths, not bare names, typed on the command line: the person may read those files."""
    values = [assignment.partition("=")[2] for assignment in assignments]
    # A model may be two files, as `weights.split_files` has them.
    paths = [Path(part) for value in values if len(value) < LONGEST_PATH for part in {value, *value.split(" + ")}]
    return [path for path in paths if len(path.parts) > 1 and path.is_file()]


def _show_traceback(wanted: bool, error: BaseException | None = None) -> None:
    if wanted:
        traceback.print_exception(error or sys.exc_info()[1])


if __name__ == "__main__":
    sys.exit(main())
