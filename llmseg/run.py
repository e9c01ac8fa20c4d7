"""Run a ComfyUI workflow file with no ComfyUI: `python -m llmseg.run workflow.json`.

The composition root: the only file that loads the nodes, and nobody imports it. Exit codes: 0 done,
1 a node failed, 2 bad usage or an invalid workflow and nothing executed, 3 partly done, 130 interrupted.

Not here: formats, validation, execution (`graph`), what a person sees (`reporting`).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from . import __version__
from .commands import DONE, FAILED, INTERRUPTED, INVALID, PARTLY, use_utf8
from .errors import InputError, LLMSegError, WorkflowError, located
from .graph import (
    Executor,
    NodeDefinition,
    ResultCache,
    Validation,
    Workflow,
    apply_overrides,
    define_nodes,
    read_stream,
    read_workflow,
    to_prompt,
    validate_prompt,
)
from .reporting import JsonReporter, Reporter, TextReporter

NODES_MODULE = "llmseg_nodes"  # private: `nodes` is ComfyUI's own name

LONGEST_PATH = 4096  # characters; beyond it the value is surely a text

Prompt = dict[str, dict[str, object]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    use_utf8()
    options = _parser().parse_args(arguments)
    reporter: Reporter = JsonReporter() if options.json else TextReporter()
    handler = _LogHandler(reporter)
    logging.getLogger("llmseg").addHandler(handler)
    try:
        return _run(options, reporter)
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


def _run(options: argparse.Namespace, reporter: Reporter) -> int:
    nodes = load_nodes()
    classes: dict[str, type] = {**nodes.core.CORE_NODES, **nodes.NODE_CLASS_MAPPINGS}
    titles = {**nodes.core.CORE_DISPLAY_NAMES, **nodes.NODE_DISPLAY_NAME_MAPPINGS}
    installed = define_nodes(classes, titles)
    if options.list_nodes:
        reporter.nodes(installed)
        return DONE
    if options.workflow is None:
        raise InputError("no workflow file; expected a path, or - for standard input.", place="usage")
    workflow = _read(options.workflow)
    roots = _use_host(nodes, options, reporter)
    with located(workflow.source):
        definitions = _definitions(options.object_info, installed)
        prompt = _to_prompt(workflow, definitions, reporter)
        prompt = apply_overrides(prompt, definitions, options.set)
        if options.print_prompt:
            print(json.dumps(prompt, indent=2))
            return DONE
        validation = validate_prompt(prompt, classes)
    for warning in validation.warnings:
        reporter.warning(f"{workflow.source}, {warning}")
    problems = [problem.message for problem in validation.problems]
    if problems and (options.check or not validation.outputs):
        raise WorkflowError(problems, place=workflow.source)
    reporter.problems(problems, workflow.source)
    if options.check:
        reporter.checked(workflow.source, len(validation.prompt), len(validation.outputs))
        return DONE
    nodes.host.torch_device()  # a device that cannot be used is bad usage, found before anything runs
    return _execute(options, workflow, validation, classes, reporter, roots)


def _execute(
    options: argparse.Namespace,
    workflow: Workflow,
    validation: Validation,
    classes: dict[str, type],
    reporter: Reporter,
    roots: dict[str, Path],
) -> int:
    executor = Executor(classes, cache=ResultCache(), on_event=reporter.event)  # equal nodes run once, as in the server
    pnginfo = {"workflow": workflow.editor} if workflow.editor is not None else None
    result = executor.run(validation.prompt, validation.outputs, extra_pnginfo=pnginfo)
    reporter.finished(result, roots)
    if result.error is not None:
        reporter.failure(f"{workflow.source}, {result.error}")
        _show_traceback(options.debug, result.error)
        return FAILED
    return PARTLY if validation.problems else DONE


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


def _read(source: str) -> Workflow:
    if source == "-":
        return read_stream(sys.stdin.buffer, "standard input")
    return read_workflow(Path(source))


def _definitions(object_info: Path | None, installed: dict[str, NodeDefinition]) -> dict[str, NodeDefinition]:
    """What is installed, and below it what a server says it has."""
    if object_info is None:
        return installed
    try:
        records = json.loads(object_info.read_text(encoding="utf-8"))
        foreign = {name: NodeDefinition.from_object_info(name, record) for name, record in records.items()}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(
            f"cannot read {str(object_info)!r} ({error}); expected a server's /object_info.", place="object-info"
        ) from error
    return {**foreign, **installed}


def _to_prompt(workflow: Workflow, definitions: dict[str, NodeDefinition], reporter: Reporter) -> Prompt:
    if workflow.prompt is not None:
        return workflow.prompt
    assert workflow.editor is not None
    conversion = to_prompt(workflow.editor, definitions)
    for warning in conversion.warnings:
        reporter.warning(f"{workflow.source}, {warning}")
    return conversion.prompt


def _use_host(nodes: ModuleType, options: argparse.Namespace, reporter: Reporter) -> dict[str, Path]:
    """Give the nodes their folders, device and network; returns the folder behind each kind of file."""
    if options.offline or options.frozen:
        os.environ["HF_HUB_OFFLINE"] = "1"  # what the libraries that download models go by
    beside = Path(options.workflow).parent / "input"
    roots = {
        "input": options.input_dir or (beside if beside.is_dir() else Path.cwd()),
        "output": options.output,
        "temp": options.temp_dir or options.output / "temp",
    }
    nodes.host.use_headless(
        nodes.host.HeadlessHost(
            input_folder=roots["input"],
            output_folder=roots["output"],
            temp_folder=roots["temp"],
            device=options.device,
            on_progress=reporter.progress,
            workflow_folder=None if options.workflow == "-" else Path(options.workflow).parent,
            network="frozen" if options.frozen else "offline" if options.offline else "",
            trusted_files=frozenset(_typed_files(options.set)),
        )
    )
    return roots


def _typed_files(assignments: Sequence[str]) -> list[Path]:
    """Paths, not bare names, typed on the command line: the person may read those files."""
    values = [assignment.partition("=")[2] for assignment in assignments]
    paths = [Path(value) for value in values if len(value) < LONGEST_PATH]
    return [path for path in paths if len(path.parts) > 1 and path.is_file()]


def _show_traceback(wanted: bool, error: BaseException | None = None) -> None:
    if wanted:
        traceback.print_exception(error or sys.exc_info()[1])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m llmseg.run",
        description="Run a ComfyUI workflow file (UI or API form) without ComfyUI.",
        epilog="Exit codes: 0 done, 1 a node failed, 2 invalid and nothing executed, 3 partly done, 130 interrupted.",
    )
    add = parser.add_argument
    add("workflow", nargs="?", metavar="WORKFLOW", help="JSON file, or - for standard input")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        help="change an input; NODE is an id, a title or a class; @FILE reads a file; repeatable",
    )
    add(
        "--output",
        type=Path,
        default=Path("output"),
        metavar="DIR",
        help="root of everything written (default: output)",
    )
    add(
        "--input-dir",
        type=Path,
        metavar="DIR",
        help="root of everything read (default: input beside the workflow, else here)",
    )
    add("--temp-dir", type=Path, metavar="DIR", help="root of previews (default: temp in the output folder)")
    add("--device", default="cpu", metavar="DEVICE", help="torch device, such as cpu, cuda or mps (default: cpu)")
    add("--offline", action="store_true", help="no network: stored answers of language models, model files at hand")
    add("--frozen", action="store_true", help="no network, and an answer that is not stored is an error")
    add("--check", action="store_true", help="only validate: every problem at once, nothing executed")
    add("--print-prompt", action="store_true", help="only print the API form")
    add("--object-info", type=Path, metavar="FILE", help="a server's /object_info, for node classes not installed here")
    add("--list-nodes", action="store_true", help="only list the node classes")
    add("--json", action="store_true", help="one JSON event a line on standard output")
    add("--debug", action="store_true", help="show tracebacks")
    add("--version", action="version", version=f"llmseg {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
