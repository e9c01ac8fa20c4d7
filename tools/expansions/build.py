"""Check the lists beside this file, clean them, and write the libraries that ship.

    python -m tools.expansions.build

Reads tools/expansions/*.txt, one class a line:

    id | name | role | sense | aliases | subclasses

Writes llmseg/data/expansions/<name>.json (or --output) and benchmarks/results/expansions.md (or --report).
The same sources give the same bytes. The id is the word of the data set; people may type it.

Not here: the rules (`llmseg.cleaning_rules`), the world of the embedded model (`tools.world.make_data`).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from llmseg.cleaning import CLEANER_VERSION, clean_expansion, report_cleaning
from llmseg.cleaning_rules import RULES, CleaningLimits
from llmseg.errors import InputError, LLMSegError
from llmseg.folding import fold
from llmseg.library import ROLES, SCHEMA
from llmseg.options import LIBRARY
from llmseg.store import read_text, write_atomic
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase

__all__ = ["SOURCES", "build", "format_library", "main", "parse_source"]

SOURCES = Path(__file__).parent
ROOT = SOURCES.parents[1]
FIELDS = ("id", "name", "role", "sense", "aliases", "subclasses")
SENSE_WORDS = 12
ALIASES = 4
QUOTED = 10  # classes of each library that the report shows
SEED = 0


def parse_source(text: str, *, place: str) -> tuple[tuple[str, ...], Expansion]:
    """Read one source.

    Args:
        text: the content of the file.
        place: its name, for messages.

    Returns:
        The ids in order, and the classes with all that is written for them.

    Raises:
        InputError: the first line that breaks the form.
    """
    ids, classes = [], []
    lines_of_ids: dict[str, int] = {}
    lines_of_names: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        here = f"{place}, line {number}"
        identity, entry = _parse_line(line, here)
        _enter(lines_of_ids, identity, number, here)
        for wording in (entry.class_name.name, *entry.class_name.aliases):
            _enter(lines_of_names, wording, number, here)
        ids.append(identity)
        classes.append(entry)
    for key, number in lines_of_ids.items():
        if lines_of_names.get(key, number) != number:  # nobody who types that id would get its class
            raise InputError(
                f"the id is a name in line {lines_of_names[key]}; expected no other class of that name.",
                place=f"{place}, line {number}",
            )
    return tuple(ids), Expansion(tuple(classes), _provenance(place))


def _parse_line(line: str, place: str) -> tuple[str, ClassExpansion]:
    fields = [field.strip() for field in line.split("|")]
    if len(fields) != len(FIELDS):
        raise InputError(f"{len(fields)} fields; expected {len(FIELDS)}: {' | '.join(FIELDS)}.", place=place)
    identity, name, role, sense = fields[:4]
    aliases, subclasses = (tuple(part.strip() for part in field.split(",") if part.strip()) for field in fields[4:])
    limits = CleaningLimits()
    most = limits.keep_stuff if role == "stuff" else limits.keep
    if not identity or not name:
        raise InputError(f"id {identity!r} and name {name!r}; expected text in both.", place=place)
    if role not in ROLES:
        raise InputError(f"role {role!r}; expected one of {', '.join(ROLES)}.", place=place)
    if len(sense.split()) > SENSE_WORDS:
        raise InputError(f"a sense of {len(sense.split())} words; expected at most {SENSE_WORDS}.", place=place)
    if len(aliases) > ALIASES:
        raise InputError(f"{len(aliases)} aliases; expected at most {ALIASES}.", place=place)
    if role in ("background", "residual") and subclasses:
        raise InputError(f"subclasses of a {role} class; expected none.", place=place)
    if len(subclasses) == 1 or len(subclasses) > most:
        raise InputError(f"{len(subclasses)} subclasses of a {role}; expected none, or 2 to {most}.", place=place)
    policy = "keep" if role in ("background", "residual") else "expand"
    phrases = tuple(Phrase(text, source="library") for text in subclasses)
    return identity, ClassExpansion(ClassName(name, aliases, sense, role, policy), phrases)


def _enter(seen: dict[str, int], wording: str, number: int, place: str) -> None:
    line = seen.setdefault(fold(wording), number)
    if line != number:  # one line may spell a name twice: airplane, aeroplane
        raise InputError(f"{wording!r} stands in line {line} too; expected every wording in one line.", place=place)


def _provenance(source: str) -> dict[str, str]:
    return {
        "provider": "none",
        "author": "this project",
        "source": f"tools/expansions/{source}",
        "command": "python -m tools.expansions.build",
        "cleaner_version": CLEANER_VERSION,
    }


def format_library(name: str, ids: tuple[str, ...], expansion: Expansion) -> str:
    """A library as JSON with one class a line, so that a change of a list is a change of one line.

    Args:
        name: of the library, a name in `LIBRARY`.
        ids: the data set's word for each class.
        expansion: the classes; dropped phrases are left out.
    """
    head = {
        "schema": SCHEMA,
        "name": name,
        "description": LIBRARY.names[name],
        "language": "en",
        "licence": "Apache-2.0",
        "provenance": dict(expansion.provenance),
    }
    classes = ",\n".join(
        json.dumps(_class_to_json(identity, entry), ensure_ascii=False, separators=(",", ":"))
        for identity, entry in zip(ids, expansion.classes, strict=True)
    )
    return f'{json.dumps(head, indent=1)[:-2]},\n "classes": [\n{classes}\n]}}\n'


def _class_to_json(identity: str, entry: ClassExpansion) -> dict[str, object]:
    name = entry.class_name
    return {
        "id": identity,
        "name": name.name,
        "aliases": list(name.aliases),
        "sense": name.sense,
        "role": name.role,
        "policy": name.policy,
        "subclasses": [{"text": text, "source": "library"} for text in entry.kept],
    }


def build(sources: Path, output: Path) -> dict[str, Expansion]:
    """Write every library.

    Args:
        sources: folder of the text files.
        output: folder of the JSON files.

    Returns:
        The cleaned classes by library, dropped phrases included.

    Raises:
        InputError: a source that cannot be read, or a folder that cannot be written.
    """
    built = {}
    for path in sorted(sources.glob("*.txt")):
        if path.stem not in LIBRARY.names:
            raise InputError(f"{path.stem!r} is no library; expected one named in LIBRARY.", place=path.name)
        ids, expansion = parse_source(read_text(path, place="source"), place=path.name)
        built[path.stem] = clean_expansion(expansion, CleaningLimits(strict=True))
        data = format_library(path.stem, ids, built[path.stem])
        write_atomic(output / f"{path.stem}.json", data.encode())
    return built


def _report(built: Mapping[str, Expansion]) -> Iterator[str]:
    yield "# The shipped expansion libraries\n"
    yield "`python -m tools.expansions.build`\n"
    yield f"Written by hand in `tools/expansions/*.txt`; string rules, version {CLEANER_VERSION}.\n"
    yield f"| library | classes | {' | '.join(ROLES)} | with subclasses | written | kept |"
    yield f"|---|{'---:|' * (len(ROLES) + 4)}"
    for name, expansion in built.items():
        yield _count_row(name, expansion)
    reports = {name: report_cleaning(expansion) for name, expansion in built.items()}
    yield "\n## What the rules found\n"
    counts = Counter((name, reason) for name, report in reports.items() for _, _, reason in report)
    if counts:
        yield "| library | rule | phrases |\n|---|---|---:|"
        yield from (f"| {name} | {reason} | {count} |" for (name, reason), count in sorted(counts.items()))
        yield ""
        for name, report in reports.items():
            yield from (f"- {name}: {phrase!r} of {owner!r}, {reason}" for owner, phrase, reason in report)
    else:
        yield f"Nothing in any library: the authors ran the {len(RULES)} rules while they wrote."
    yield f"\n## {QUOTED} classes of each, drawn by lot\n\nOf those that are split; seed {SEED}."
    for name, expansion in built.items():
        yield f"\n{name}:\n"
        yield from _quotes(expansion)


def _count_row(name: str, expansion: Expansion) -> str:
    roles = Counter(entry.class_name.role for entry in expansion.classes)
    numbers = [
        len(expansion.classes),
        *(roles[role] for role in ROLES),
        sum(bool(entry.kept) for entry in expansion.classes),
        sum(len(entry.subclasses) for entry in expansion.classes),
        sum(len(entry.kept) for entry in expansion.classes),
    ]
    return f"| {name} | {' | '.join(map(str, numbers))} |"


def _quotes(expansion: Expansion) -> Iterator[str]:
    split = [number for number, entry in enumerate(expansion.classes) if entry.kept]
    chosen = random.Random(SEED).sample(split, min(QUOTED, len(split)))
    for number in sorted(chosen):
        entry = expansion.classes[number]
        yield f"- {entry.class_name.name}: {', '.join(entry.kept)}"


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 done, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.expansions.build", description="Build the libraries.")
    default = ROOT / "llmseg" / "data" / "expansions"
    parser.add_argument("--output", type=Path, default=default, help="folder to write into (default: %(default)s)")
    default = ROOT / "benchmarks" / "results" / "expansions.md"
    parser.add_argument("--report", type=Path, default=default, help="file to write (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        report = "\n".join(_report(build(SOURCES, options.output))) + "\n"
        write_atomic(options.report, report.encode())
    except LLMSegError as error:
        print(error, file=sys.stderr)
        return 1
    print(report, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
