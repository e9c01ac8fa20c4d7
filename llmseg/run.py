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
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from . import __version__
from .addresses import Location
from .arguments import read_arguments, runner_settings
from .batch import BatchImage, ImageSlot, find_image_slot, list_images
from .batch_runs import BatchRun, Outcome, hash_workflow
from .commands import DONE, FAILED, INTERRUPTED, INVALID, PARTLY, WarningHandler, use_utf8
from .errors import InputError, LLMSegError, WorkflowError, located
from .graph import (
    NodeDefinition,
    RunResult,
    Workflow,
    apply_overrides,
    find_node,
    read_object_info,
    read_stream,
    read_workflow,
    to_prompt,
)
from .local_batch import run_batch
from .places import open_place
from .reporting import JsonReporter, Reporter, TextReporter
from .runner import Job, Runner

NODES_MODULE = "llmseg_nodes"  # private: `nodes` is ComfyUI's own name

Prompt = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    use_utf8()
    options = read_arguments(arguments)
    reporter: Reporter = JsonReporter() if options.json else TextReporter()
    handler = WarningHandler(reporter.warning)
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


class _Session:
    """One call of the command: the registry, the folders, and the workflow as a prompt."""

    def __init__(self, options: argparse.Namespace, reporter: Reporter, stack: ExitStack) -> None:
        self.options = options
        self.reporter = reporter
        self.settings = runner_settings(options)
        self.roots = self.settings.roots
        self.images = list_images(options.images, open_place(options.output).work) if options.images else []
        self.runner = Runner(load_nodes(), self.settings, reporter, stack)

    def run(self) -> int:
        """Do what was asked for; returns the exit code."""
        options = self.options
        if options.list_nodes:
            self.reporter.nodes(self.runner.definitions())
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
            targets = [find_node(prompt, name, "--only") for name in options.only] or workflow.targets
            slot = find_image_slot(prompt, definitions, options.bind) if self.images else None
        job = Job(prompt, workflow.source, targets, workflow.editor)
        if slot is not None:
            return self._run_each(job, slot)
        return self._print(prompt) if options.print_prompt else self._run_one(job)

    # -- from the file to a prompt ----------------------------------------------------------------

    def _definitions(self) -> dict[str, NodeDefinition]:
        """What is installed, and below it what a server says it has."""
        installed = self.runner.definitions()
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

    def _print(self, prompt: Mapping[str, Any]) -> int:
        print(json.dumps(prompt, indent=2))
        return DONE

    # -- running ----------------------------------------------------------------------------------

    def _run_one(self, job: Job) -> int:
        if self.options.check:
            return self._check(job)
        outcome = self.runner.run(job)
        self._tell(job, self.roots["output"], outcome.result)
        return outcome.code

    def _look(self, job: Job, image: BatchImage) -> int:
        if self.options.print_prompt:
            return self._print(job.prompt)
        try:
            image.fetch()
            with self.runner.reading(image, self.roots["output"]):
                return self._check(job)
        finally:
            image.drop()

    def _check(self, job: Job) -> int:
        validation = self.runner.validate(job)
        if validation.problems or not validation.outputs:
            return INVALID
        self.reporter.checked(job.source, len(validation.prompt), len(validation.outputs))
        return DONE

    def _tell(self, job: Job, output: Location, result: RunResult | None, image: BatchImage | None = None) -> None:
        """What a run wrote, said, and failed at; None where nothing ran."""
        if result is not None:
            roots = {**self.roots, "output": output if image is None else output / image.place}
            self.reporter.finished(result, roots, "" if image is None else image.name)
            for error in result.errors:
                self.reporter.failure(f"{job.source}, {error}")
                _show_traceback(self.options.debug, error)

    def _run_each(self, job: Job, slot: ImageSlot) -> int:
        """Once per image."""
        if self.options.print_prompt or self.options.check:
            return max(self._look(self.runner.fill(job, slot, image), image) for image in self.images)
        options = self.options
        tell = partial(self._tell, job, options.output)
        workflow = hash_workflow(job.prompt, slot, __version__, job.targets)
        batch = BatchRun(options.output, workflow, options.resume)
        if options.engine == "ray":
            from .scaleout import Plan, run_on_ray

            plan = Plan(f"{__package__}.run", job, slot, options.address, options.jobs, options.debug)
            return run_on_ray(plan, batch, self.images, self.runner, self.reporter, tell)
        with batch.opened(), self.runner.batching() as writer:

            def run(image: BatchImage, folder: Path) -> Outcome:
                self.runner.expect(image, batch.upcoming)
                return self.runner.run_image(job, slot, image, folder)

            return run_batch(batch, self.images, run, self.reporter, tell, writer)

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


def _show_traceback(wanted: bool, error: BaseException | None = None) -> None:
    if wanted:
        traceback.print_exception(error or sys.exc_info()[1])


if __name__ == "__main__":
    sys.exit(main())
