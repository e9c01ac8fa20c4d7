"""Models by name from a shell: `python -m llmseg.models list`, `get NAME`, `where NAME`.

Only `get` uses the network. Exit codes: 0 done, 1 not found or not fetched, 2 bad usage, 130 interrupted.

Not here: what there is (`catalogue`), where it lies (`downloads`), fetching (`fetching`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..commands import DONE, FAILED, INTERRUPTED, INVALID, use_utf8
from ..errors import InputError, LLMSegError, ModelError, UnknownNameError, nearest
from ..llm import read_configuration
from ..options import MODEL
from .catalogue import Source, find_source, known_sources
from .downloads import find_weights, list_places, model_folders, offline_reason, target_folder

__all__ = ["main"]

EMBEDDED = "embedded"
ORIGINS = ("hub", "url")
UNKNOWN_LICENCE = "see the model card"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    use_utf8()
    options = _parser().parse_args(arguments)
    try:
        return {"list": _list, "get": _get, "where": _where}[options.command](options)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except LLMSegError as error:
        print(f"error: {error}", file=sys.stderr)
        return INVALID
    except BrokenPipeError:  # whoever read the list has left
        sys.stdout = None  # so that the interpreter does not flush into it
        return FAILED
    except KeyboardInterrupt:
        print("error: interrupted; what has come is kept, run the same command to go on.", file=sys.stderr)
        return INTERRUPTED


def _list(options: argparse.Namespace) -> int:
    sources = known_sources()
    if not options.all:
        sources = {name: sources[name] for name in MODEL.names if name in sources}
    described = [_describe(source) for source in sources.values()]
    if options.json:
        print(json.dumps(described, indent=2))
        return DONE
    rows = [("name", "size", "licence", "from", "here")]
    for entry in described:
        size = f"{entry['size'] / 1e6:,.0f} MB" if entry["size"] else "?"
        rows.append(
            (entry["name"], size, entry["licence"] or UNKNOWN_LICENCE, entry["repository"], entry["path"] or "-")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    print(f"{EMBEDDED}: in this package, needs no file")
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip())
    return DONE


def _where(options: argparse.Namespace) -> int:
    if not options.name:
        print(f"get puts models into {target_folder()}; they are looked for in", *model_folders(), sep="\n")
        return DONE
    if options.name == EMBEDDED:
        print(Path(__file__).parent.parent / "data" / "models" / "embedded.safetensors")
        return DONE
    source = _find(options.name)
    if (path := find_weights(source)) is None:
        looked = ", ".join(str(place) for place in list_places(source))
        raise ModelError(f"{source.name!r} is in none of {looked}. Run: python -m llmseg.models get {source.name}")
    print(path.absolute())
    return DONE


def _get(options: argparse.Namespace) -> int:
    if options.name == EMBEDDED:
        raise InputError(f"{EMBEDDED!r} is in this package; there is nothing to fetch.", place="name")
    source = _find(options.name)
    network = "offline" if options.offline else read_configuration().network
    folder = Path(options.to) if options.to else target_folder()
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from .fetching import fetch_weights

    _say(f"licence: {source.licence or f'see the model card of {source.repository or source.url}'}")
    reason = offline_reason(network)
    path = fetch_weights(source, folder, origin=options.origin, replace=options.replace, offline=reason, say=_say)
    print(path.absolute())
    return DONE


def _describe(source: Source) -> dict[str, Any]:
    path = find_weights(source)
    return {
        "name": source.name,
        "size": source.size,
        "licence": source.licence,
        "repository": source.repository,
        "url": source.url,
        "sha256": source.sha256,
        "path": str(path.absolute()) if path is not None else "",
    }


def _find(name: str) -> Source:
    source = find_source(name)
    if source is not None:
        return source
    architecture, _, tag = name.partition("/")
    tags = [known.partition("/")[2] for known in known_sources() if known.partition("/")[0] == architecture]
    if tags and not tag:
        raise InputError(
            f"{name!r} names no weights; expected {architecture}/TAG, TAG one of {', '.join(tags)}.", place="name"
        )
    close = nearest(name, known_sources(), 3)
    if not close:
        raise UnknownNameError(name, known_sources(), place="name")
    raise InputError(
        f"{name!r} is not known; nearest: {', '.join(close)}. See: python -m llmseg.models list --all", place="name"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m llmseg.models",
        description="Models by name: what there is, where it lies, and fetching it.",
        epilog="Exit codes: 0 done, 1 not found or not fetched, 2 bad usage, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"llmseg {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | get | where")
    listing = commands.add_parser("list", help="names, sizes, licences, and what is on this computer")
    listing.add_argument("--all", action="store_true", help="every name that open_clip knows")
    listing.add_argument("--json", action="store_true", help="as JSON")
    where = commands.add_parser("where", help="where a model lies; without a name, the folders")
    where.add_argument("name", nargs="?", default="", metavar="NAME", help="name/tag of the list")
    get = commands.add_parser("get", help="fetch a model")
    get.add_argument("name", metavar="NAME", help="name/tag of the list")
    get.add_argument("--to", default="", metavar="DIR", help="the folder (default: the one that `where` names)")
    get.add_argument(
        "--from", dest="origin", default=ORIGINS[0], choices=ORIGINS, help="the hub, or the authors' own address"
    )
    get.add_argument("--replace", action="store_true", help="fetch it anew, whatever is there")
    get.add_argument("--offline", action="store_true", help="use no network: take it from a cache, or fail")
    return parser


if __name__ == "__main__":
    sys.exit(main())
