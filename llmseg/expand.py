"""Split class names from a shell: `python -m llmseg.expand "cat, dog, road" --profile ollama`.

Prints a class a line with its phrases and writes a lock file: JSON that can be committed beside a workflow,
edited by hand, and used with no network at all. Exit codes: 0 done, 1 the language model failed,
2 bad usage, 3 some classes got no answer, 130 interrupted.

Not here: running workflows (`run`), what is asked and how (`llm_expansion`, `llm`).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__
from .commands import DONE, FAILED, INTERRUPTED, INVALID, PARTLY, use_utf8
from .errors import InputError, LLMError, LLMSegError
from .expansion import expand_with, expansion_to_json, load_expansion, save_expansion
from .expansion_edits import hold_lock
from .expansion_text import format_expansion
from .folding import fold
from .graph import printable
from .interview import ENGLISH, AskOptions
from .llm import find_model, read_configuration
from .llm_expansion import Asked, expand_by_llm
from .names import parse_names
from .options import COUNT, KIND, LIBRARY, REFRESH, Number
from .store import read_text
from .types import ClassList, Expansion
from .unwanted import explain_reason

__all__ = ["main"]

LOCK_FILE = "expansion.json"
FOR_A_PROFILE = ("model", "kind", "count", "critic", "strict", "domain", "language", "refresh", "dry_run")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    use_utf8()
    options = _parser().parse_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    logging.getLogger("llmseg").addHandler(handler)
    try:
        return _run(options)
    except LLMSegError as error:
        if options.debug:
            logging.getLogger("llmseg").exception("this is where:")
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return FAILED if isinstance(error, LLMError) else INVALID
    except BrokenPipeError:  # whoever read the table has left; the lock file is written
        sys.stdout = None  # so that the interpreter does not flush into it
        return FAILED
    except KeyboardInterrupt:
        print("error: interrupted; answers that came stay stored.", file=sys.stderr)
        return INTERRUPTED
    finally:
        logging.getLogger("llmseg").removeHandler(handler)


def _run(options: argparse.Namespace) -> int:
    text = read_text(Path(options.names[1:]), place="names") if options.names.startswith("@") else options.names
    classes = parse_names(text)
    _check_options(options)
    lock = load_expansion(options.lock) if options.lock.is_file() else None
    if lock is not None and not options.replace:
        _check_lock(lock, classes, options.lock)
    asked = _expand(options, classes, None if options.replace else lock)
    if not options.dry_run:  # before anything is said: a reader may leave
        save_expansion(asked.expansion, options.lock)
    if options.json:
        print(json.dumps(expansion_to_json(asked.expansion), ensure_ascii=False, indent=2))
    else:
        print(format_expansion(asked.expansion))
    for remark in (*asked.remarks, *_explain_reasons(asked.expansion)):
        print(printable(remark), file=sys.stderr)
    if not options.dry_run:
        print(f"wrote {options.lock}", file=sys.stderr)
    failed = any(entry.status == "fallback" for entry in asked.expansion.classes)
    return PARTLY if failed and not options.dry_run else DONE


def _expand(options: argparse.Namespace, classes: ClassList, lock: Expansion | None) -> Asked:
    if not options.profile:
        return Asked(hold_lock(expand_with(classes, options.library), lock), ())
    network = "frozen" if options.frozen else "offline" if options.offline else read_configuration().network
    wanted = AskOptions(
        kind=options.kind,
        count=options.count,
        critic=options.critic,
        domain=options.domain,
        language=options.language,
        refresh=options.refresh,
        network=network,
        preview=options.dry_run,
        strict=options.strict,
    )
    return expand_by_llm(classes, find_model(options.profile, options.model), wanted, lock=lock, on_answer=_show)


def _check_options(options: argparse.Namespace) -> None:
    """Refuse what would be ignored, or found out only after it was paid for."""
    standard = _parser().parse_args([""])
    ignored = [name for name in FOR_A_PROFILE if getattr(options, name) != getattr(standard, name)]
    if ignored and not options.profile:
        raise InputError(
            f"--{ignored[0].replace('_', '-')} is for language models; name one by --profile.", place="usage"
        )
    if options.profile and options.library != standard.library:
        raise InputError("--library and --profile; expected one of them.", place="usage")
    if options.dry_run:
        return
    folder = next((parent for parent in options.lock.absolute().parents if parent.exists()), None)
    writable = folder is not None and folder.is_dir() and os.access(folder, os.W_OK)
    if options.lock.is_dir() or not options.lock.name or not writable:
        raise InputError(f"cannot write {str(options.lock)!r}; expected a file in a writable folder.", place="lock")


def _check_lock(lock: Expansion, classes: ClassList, path: Path) -> None:
    """Refuse to write over entries that were not asked for: somebody may have edited them."""
    wanted = {fold(name) for name in classes.names}
    lost = [entry.class_name.name for entry in lock.classes if fold(entry.class_name.name) not in wanted]
    if lost:
        raise InputError(
            f"{str(path)!r} holds {lost[0]!r}, which is not asked for; expected all of its classes. "
            "Name another file, or add --replace.",
            place="lock",
        )


def _explain_reasons(expansion: Expansion) -> list[str]:
    """A line for each reason in the table."""
    dropped = (item.reason for entry in expansion.classes for item in entry.subclasses if not item.kept)
    return [f"dropped, {reason}: {explain_reason(reason)}" for reason in dict.fromkeys(dropped) if reason]


def _show(done: int, total: int) -> None:
    """A line that is written over, on a terminal only."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"\r{done:>6}/{total}", end="\r" if done < total else "\n", file=sys.stderr, flush=True)


def _within(limits: Number) -> Callable[[str], int]:
    """A whole number between limits, as argparse wants it."""

    def read(text: str) -> int:
        if not text.isdigit() or len(text) > 9 or not limits.minimum <= int(text) <= limits.maximum:
            raise argparse.ArgumentTypeError(f"{text!r}; expected {limits.minimum:g} to {limits.maximum:g}")
        return int(text)

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m llmseg.expand",
        description="Split class names into the kinds that can be told apart in a photo.",
        epilog="Exit codes: 0 done, 1 the language model failed, 2 bad usage, 3 no answer for some, 130 interrupted.",
    )
    add = parser.add_argument
    add("names", metavar="NAMES", help="class names, separated by commas; @FILE reads a file")
    add("--profile", default="", metavar="NAME", help="ask the language model of a profile, such as ollama or openai")
    add("--model", default="", metavar="NAME", help="the model to ask (default: the one of the profile)")
    add(
        "--library",
        default=LIBRARY.default,
        metavar="NAME",
        help="without a profile: a shipped library (default: auto)",
    )
    add(
        "--lock",
        type=Path,
        default=Path(LOCK_FILE),
        metavar="FILE",
        help=f"what is written; classes that it holds already are kept (default: {LOCK_FILE})",
    )
    add("--replace", action="store_true", help="write the lock file anew, whatever it held")
    add("--kind", default=KIND.default, choices=list(KIND.names), help=KIND.tooltip)
    add(
        "--count",
        type=_within(COUNT),
        default=int(COUNT.default),
        metavar="N",
        help="most phrases of a class (default: 7)",
    )
    add("--critic", action="store_true", help="let the model look at its own list again")
    add("--strict", action="store_true", help="drop doubtful phrases instead of keeping them")
    add("--domain", default="", metavar="TEXT", help="what the pictures show, such as 'satellite images'")
    add("--language", default=ENGLISH, metavar="CODE", help="of the class names; other than en they are translated")
    add("--refresh", type=_within(REFRESH), default=0, metavar="N", help="another number asks for new answers")
    add("--dry-run", action="store_true", help="ask nothing and write nothing; say what asking would cost")
    add("--offline", action="store_true", help="stored answers only; other classes keep their name alone")
    add("--frozen", action="store_true", help="stored answers and the lock file only; a missing one is an error")
    add("--json", action="store_true", help="print the lock file instead of the table")
    add("--debug", action="store_true", help="show tracebacks")
    add("--version", action="version", version=f"llmseg {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
