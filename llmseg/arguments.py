"""The command line of `run`: what can be typed, and what it means.

Not here: doing it (`run`).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .addresses import Url, read_location
from .graph import Picker, pick_at_random
from .places import open_place
from .runner import RunnerSettings

__all__ = ["read_arguments", "runner_settings"]

LONGEST_PATH = 4096  # characters; beyond it the value is surely a text
MOST_JOBS = 10_000

EPILOG = """\
examples:
  python -m llmseg.run workflows/quickstart.json
  python -m llmseg.run workflow.json --set "Class Names.text=dog, grass" --output out
  python -m llmseg.run picture.png --check
  python -m llmseg.run workflow.json --images photos --output out --resume
  python -m llmseg.run workflow.json --images photos --output out --engine ray --jobs 4
  python -m llmseg.run workflow.json --server http://127.0.0.1:8188

exit codes: 0 done, 1 a node failed, 2 invalid and nothing executed, 3 partly done, 130 interrupted
"""


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What a person typed; wrong usage and ``--help`` end the program."""
    parser = argparse.ArgumentParser(
        prog="python -m llmseg.run",
        description="Run a ComfyUI workflow without ComfyUI: a UI or API file, or a picture that carries one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("workflow", nargs="?", metavar="WORKFLOW", help="JSON, PNG, WEBP or JPEG file, or - for standard input")
    add("--version", action="version", version=f"llmseg {__version__}")
    _add_inputs(parser)
    _add_folders(parser)
    _add_running(parser)
    _add_workers(parser)
    _add_looking(parser)
    options = parser.parse_args(arguments)
    if options.bind and not options.images:
        parser.error("--bind names the node that --images fills; expected --images too")
    if options.resume and not options.images:
        parser.error("--resume goes on with a batch of images; expected --images too")
    if options.server and (options.check or options.images):
        parser.error("--server does not go with --check or --images; expected one of them")
    if isinstance(options.output, Url) and not options.images:
        parser.error("--output takes a URL for a batch of images; expected --images too")
    if options.engine == "ray" and not options.images:
        parser.error("--engine ray runs a batch of images; expected --images too")
    if options.engine != "ray" and (options.address or options.jobs):
        parser.error("--address and --jobs are for workers; expected --engine ray too")
    return options


def runner_settings(options: argparse.Namespace) -> RunnerSettings:
    """What of the options is about running, whatever the workflow."""
    beside = Path(options.workflow or "").parent / "input"
    output = open_place(options.output).work if isinstance(options.output, Url) else options.output
    named = options.workflow is not None and options.workflow != "-"
    return RunnerSettings(
        roots={
            "input": options.input_dir or (beside if beside.is_dir() else Path.cwd()),
            "output": output,
            "temp": options.temp_dir or output / "temp",
        },
        device=options.device,
        network="frozen" if options.frozen else "offline" if options.offline else "",
        workflow_folder=Path(options.workflow).parent if named else None,
        trusted_files=frozenset(_typed_files(options.set)),
        packs=tuple(options.nodes),
        use_cache=not options.no_cache,
        repeat_outputs=bool(options.images),
        keep_going=options.keep_going,
        strict=options.strict,
    )


def _typed_files(assignments: Sequence[str]) -> list[Path]:
    """Paths, not bare names, typed on the command line: the person may read those files."""
    values = [assignment.partition("=")[2] for assignment in assignments]
    # A model may be two files, as `weights.split_files` has them.
    paths = [Path(part) for value in values if len(value) < LONGEST_PATH for part in {value, *value.split(" + ")}]
    return [path for path in paths if len(path.parts) > 1 and path.is_file()]


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what goes in").add_argument
    add(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        help="change an input; NODE is an id, a title or a class; @FILE reads a file; repeatable",
    )
    add(
        "--images",
        nargs="+",
        default=[],
        metavar="PATH",
        help="run once per image: files, folders, patterns, URLs, @FILE; the results of each get a folder of its name",
    )
    add("--resume", action="store_true", help="leave out images that are done, by the manifest in the output folder")
    add("--bind", default="", metavar="NODE", help="the node that --images fills, if several load one")
    add("--from", dest="prefer", choices=("prompt", "workflow"), default="", help="which form, if a file holds both")
    add(
        "--dynamic-prompts",
        type=_read_picker,
        default=pick_at_random,
        metavar="HOW",
        help="alternatives {a|b}: random (default), random:SEED, first, or off to leave them",
    )
    add(
        "--nodes",
        action="append",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="load the ComfyUI node pack in this folder, which runs its code; repeatable",
    )
    add("--object-info", type=Path, metavar="FILE", help="a server's /object_info, for node classes not installed here")


def _add_folders(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("folders").add_argument
    add(
        "--output",
        type=read_location,
        default=Path("output"),
        metavar="DIR",
        help="root of everything written (default: output); with --images also a URL",
    )
    add(
        "--input-dir",
        type=Path,
        metavar="DIR",
        help="root of everything read (default: input beside the workflow, else here)",
    )
    add("--temp-dir", type=Path, metavar="DIR", help="root of previews (default: temp in the output folder)")


def _add_running(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how it runs").add_argument
    add("--device", default="cpu", metavar="DEVICE", help="torch device, such as cpu, cuda or mps (default: cpu)")
    add("--only", action="append", default=[], metavar="NODE", help="run only this output node; repeatable")
    add("--keep-going", action="store_true", help="after a failure run what does not depend on it; still exits with 1")
    add("--no-cache", action="store_true", help="run every node, equal ones too")
    add("--strict", action="store_true", help="an unknown node is an error even where no output needs it")
    add("--offline", action="store_true", help="no network: stored answers of language models, model files at hand")
    add("--frozen", action="store_true", help="no network, and an answer that is not stored is an error")
    add("--server", default="", metavar="URL", help="send it to this ComfyUI instead, follow it, fetch the results")


def _add_workers(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("many images on several cores or machines").add_argument
    add(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="who runs the images: this process (default), or workers of Ray (pip install llmseg[ray])",
    )
    add(
        "--address",
        default="",
        metavar="HOST:PORT",
        help="of a Ray cluster, or auto (default: workers on this machine)",
    )
    add("--jobs", type=_read_count, metavar="N", help="how many workers (default: one a GPU, else one for two cores)")


def _add_looking(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("only looking, and what is said").add_argument
    add("--check", action="store_true", help="only validate: every problem at once, nothing executed")
    add("--print-prompt", action="store_true", help="only print the API form")
    add("--list-nodes", action="store_true", help="only list the node classes")
    add("--json", action="store_true", help="one JSON event a line on standard output")
    add("--debug", action="store_true", help="show tracebacks")


def _read_count(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= MOST_JOBS):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number from 1 to {MOST_JOBS}")
    return int(text)


def _read_picker(text: str) -> Picker | None:
    """Who chooses among the alternatives of a dynamic prompt; None leaves them."""
    kind, _, seed = text.partition(":")
    if kind == "random" and seed:
        return random.Random(seed).randrange
    known: dict[str, Picker | None] = {"random": pick_at_random, "first": lambda count: 0, "off": None}
    if text not in known:
        raise argparse.ArgumentTypeError(f"{text!r}; expected random, random:SEED, first or off")
    return known[text]
