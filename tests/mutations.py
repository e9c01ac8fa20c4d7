"""Mutations of workflows: what a broken program or a hostile person might change, at any place of a JSON document.

A mutation is a small tuple of numbers, so that hypothesis can shrink it: which kind, where, where else, which odd
value. Any numbers are valid; they are taken modulo what there is.
Not here: the workflows that are changed (`fuzz_seeds`), what is expected of the outcome (`test_graph_fuzz`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["BYTE_KINDS", "KINDS", "ODD_VALUES", "OUTSIDE", "WEIGHTED", "Mutation", "mutate", "mutate_bytes"]

OUTSIDE = "/outside-of-the-roots"  # the test puts a real absolute path in its place
MOST_PLACES = 20_000  # a document that copies made larger than this is large enough


class Mutation(NamedTuple):
    """One change: `kind` of `KINDS`, two places, and the number of an odd value."""

    kind: str
    where: int
    other: int
    odd: int


class Place(NamedTuple):
    """A value in a list or an object, which stands under the key `under` itself."""

    holder: Any
    key: Any
    under: Any = None

    @property
    def value(self) -> Any:
        return self.holder[self.key]


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


PATHS = [
    *("../../x", "..\\..\\x", "../outside/secret.png", f"{OUTSIDE}/x", f"{OUTSIDE}/secret.png", "C:\\x", "//host/share/x"),
    *("sub/../../x", "sub/x", "example.png", "example.png [output]", "../x [temp]", " [input]", "link.png", "link/x", "."),
    *("~/x", "con", "x:y", "a\0b", "\0", "\ud800", "x\udfff/y", "/dev/stdin", "file:///etc/passwd", "http://localhost:1/x"),
]  # fmt: skip
PATH_KEYS = ("filename_prefix", "image", "filename", "lock_file", "path", "file")

# Simple ones first: hypothesis shrinks towards them.
ODD_VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 0.5, 10, 4096, 16384, 2**31, 2**63, -(2**64), 10**299),
    *(math.nan, math.inf, -math.inf, -0.0, 1e308, 1e-320),
    *("", " ", "a", "0", "-1", "1.5", "1e999", "NaN", "true", "²", "١", "9" * 400, "x" * 5000, "é\u200b\u202e\r\n\x1b[2J"),
    *PATHS,
    *("%width%/../%height%", "%date:yyyy-MM-dd%", "%date:" + "y" * 300, "%EmptyImage.width%", "%..%", "%%%"),
    *("{a|b|{c|d}}", "{" * 60, "}{|", "// x", "/* x", "\\{", "(a+)+$", "(?P<a>", "\\1", "[", "(" * 50, ".*" * 30),
    *("__proto__", "__value__", "__class__", "constructor", "class_type", "inputs", "*", "*,*", "IMAGE,MASK", "COMBO", "-10", "-20"),
    *("7: 3: seed", "1:2:3", ".", "a.b", "images.image0", "resize_type.width", "rows.999999.name", "rows.x.y", "1.0.0"),
    *([], [[]], [None], [None] * 50, [1, 2, 3], ["1", 0], ["1", -1], ["1", 2**70], ["1", True], ["nowhere", 0], [1, 0], [["1", 0]]),
    *({}, {"": None}, {"__value__": 1}, {"__value__": ["1", 0]}, {"__value__": {"__value__": [1]}}, {"name": "a"}),
    *({"class_type": "PreviewAny"}, {"class_type": "FuzzCount", "inputs": {"a": 9}}, {"1": {"class_type": "FuzzShow"}}),
    *({"content": None}, {"id": 1, "type": "Reroute"}, {"subgraphs": []}, [1, 1, 0, 2, 0, "*"], [1, "1", "0", "2", "0"]),
    *('[["-1", "n"]]', "[" * 5000, '{"a"', deep(60), deep(250)),
]  # fmt: skip

MODES = (0, 2, 4, 4, 2, 1, 3, -1, 99, True, 2**70)
KEYS = (
    *("id", "type", "mode", "inputs", "outputs", "links", "link", "widgets_values", "properties", "proxyWidgets", "name"),
    *("definitions", "subgraphs", "nodes", "extra", "groupNodes", "external", "config", "class_type", "_meta", "title"),
    *("origin_id", "origin_slot", "target_id", "target_slot", "linkIds", "slot_index", "widget", "shape", "parentId"),
    *("is_changed", "__value__", "prompt", "workflow", "output", "inputNode", "outputNode", "state", "version"),
    *("proxyWidgetErrorQuarantine", "widgets_values_named", "reroutes", "linkExtensions", "localized_name", "__proto__", ""),
)  # fmt: skip
TYPES = (
    *("Reroute", "PrimitiveNode", "Note", "MarkdownNote", "SetNode", "GetNode", "workflow>G1", "workflow/G", "workflow>"),
    *("PreviewAny", "SaveImage", "EmptyImage", "BatchImagesNode", "ResizeImageMaskNode", "ComfySwitchNode", "CustomCombo"),
    *("FuzzReturn", "FuzzExpand", "FuzzCount", "FuzzList", "FuzzWhole", "FuzzLazy", "FuzzBlock", "FuzzLater", "FuzzRows"),
    *("Anything Everywhere", "NoSuchClass", "graph/input", "object", ""),
)  # fmt: skip
ID_KEYS = ("id", "link", "origin_id", "target_id", "inputNode", "outputNode")


def mutate(document: Any, mutations: Sequence[Mutation], donor: Any = None) -> Any:
    """`document`, changed in place by one mutation after the other; another object if its root changed.

    Args:
        document: JSON.
        mutations: what to do.
        donor: another document, of which pieces may be taken.
    """
    root = [document]
    for mutation in mutations:
        places = all_places(root)
        if len(places) > MOST_PLACES:
            break
        fits, change = KINDS[mutation.kind]
        found = [place for place in places if fits(place)] if fits is not None else places
        if mutation.kind == "graft":
            places = all_places(donor)
        if found and places:
            change(found, places, mutation)
    return root[0] if root else None


def all_places(root: Any) -> list[Place]:
    """Every value below `root`, outer ones first."""
    found: list[Place] = []
    pending: list[tuple[Any, Any]] = [(root, None)]
    for holder, under in pending if isinstance(root, (dict, list)) else ():  # grows while it is read
        for key in range(len(holder)) if isinstance(holder, list) else list(holder):
            found.append(Place(holder, key, under))
            value = holder[key]
            if isinstance(value, (dict, list)):
                pending.append((value, key))
    return found


def odd_value(mutation: Mutation) -> Any:
    return copied(ODD_VALUES[mutation.odd % len(ODD_VALUES)])


def copied(value: Any) -> Any:
    if isinstance(value, list):
        return [copied(item) for item in value]
    return {key: copied(item) for key, item in value.items()} if isinstance(value, dict) else value


def pick(items: Sequence[Any], number: int) -> Any:
    return items[number % len(items)]


def alike(found: list[Place], one: Place, number: int) -> Place:
    """Another place; mostly one where the same may stand."""
    same = [place for place in found if place[1:] == one[1:] and type(place.value) is type(one.value)]
    return pick(same if number % 4 else found, number)


def put_odd(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    holder, key, _under = pick(found, mutation.where)
    holder[key] = odd_value(mutation)


def put_path(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    holder, key, _under = pick(found, mutation.where)
    holder[key] = pick(PATHS, mutation.odd)


def drop(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    holder, key, _under = pick(found, mutation.where)
    del holder[key]


def double(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    """A list item once more; the value of a key once more under another."""
    place = pick(found, mutation.where)
    if isinstance(place.holder, list):
        place.holder.insert(mutation.other % (len(place.holder) + 1), copied(place.value))
    else:
        place.holder[pick(KEYS, mutation.odd) if mutation.other % 2 else f"{place.key}0"] = copied(place.value)


def rename(found: list[Place], places: list[Place], mutation: Mutation) -> None:
    holder, key, _under = pick(found, mutation.where)
    other = pick(places, mutation.other).key
    odd = ODD_VALUES[mutation.odd % len(ODD_VALUES)]
    new = odd if isinstance(odd, str) else other if isinstance(other, str) else pick(KEYS, mutation.odd)
    holder[new] = holder.pop(key)


def swap(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    one = pick(found, mutation.where)
    two = alike(found, one, mutation.other)
    values = copied(two.value), copied(one.value)  # copies: one may hold the other
    one.holder[one.key] = values[0]
    two.holder[two.key] = values[1]


def copy_over(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    one = pick(found, mutation.where)
    two = alike(found, one, mutation.other)
    two.holder[two.key] = copied(one.value)


def graft(found: list[Place], places: list[Place], mutation: Mutation) -> None:
    """What stands at the same key in the donor."""
    holder, key, _under = pick(found, mutation.where)
    same = [place for place in places if place.key == key] or places
    holder[key] = copied(pick(same, mutation.other).value)


def nudge(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    holder, key, _under = pick(found, mutation.where)
    holder[key] = pick(
        (holder[key] + 1, holder[key] - 1, -holder[key], holder[key] * 1000, str(holder[key])), mutation.other
    )


def retype(found: list[Place], places: list[Place], mutation: Mutation) -> None:
    """Another class, or the id of a subgraph: perhaps of the one that the node stands in."""
    holder, key, _under = pick(found, mutation.where)
    known = [
        place.value for place in places if place.key in ("type", "class_type", "id") and isinstance(place.value, str)
    ]
    holder[key] = pick(known, mutation.odd) if known and mutation.other % 2 else pick(TYPES, mutation.odd)


def relink(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    """An id in the place of another: cycles, shared links, links to nowhere."""
    holder, key, _under = pick(found, mutation.where)
    holder[key] = pick(found, mutation.other).value


def set_mode(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    pick(found, mutation.where).value["mode"] = pick(MODES, mutation.other)


def turn(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    value, middle = pick(found, mutation.where).value, 1 + mutation.other % 3
    value[:] = value[::-1] if mutation.odd % 2 else value[middle:] + value[:middle]


def insert(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    value = pick(found, mutation.where).value
    if isinstance(value, list):
        value.insert(mutation.other % (len(value) + 1), odd_value(mutation))
    else:
        value[pick(KEYS, mutation.other)] = odd_value(mutation)


def wrap(found: list[Place], _: list[Place], mutation: Mutation) -> None:
    holder, key, _under = pick(found, mutation.where)
    holder[key] = pick(
        ([holder[key]], {"__value__": holder[key]}, {"0": holder[key]}, json.dumps(holder[key])), mutation.other
    )


def is_value(place: Place) -> bool:
    """Whether it is an input of a prompt or the value of a widget."""
    return place.under in ("inputs", "widgets_values") and not (isinstance(place.value, dict) and "name" in place.value)


def is_path(place: Place) -> bool:
    """Whether it may be a text that names a file."""
    return isinstance(place.value, str) and (place.key in PATH_KEYS or place.under == "widgets_values")


def is_option(place: Place) -> bool:
    """Whether it is part of what a class declares of an input."""
    return place.under in ("options", "template", "input", "required", "optional") or place.key in (
        "template",
        "options",
    )


def is_id(place: Place) -> bool:
    return isinstance(place.value, (int, str)) and (place.key in ID_KEYS or isinstance(place.holder, list))


Change = Callable[[list[Place], list[Place], Mutation], None]
KINDS: dict[str, tuple[Callable[[Place], bool] | None, Change]] = {
    "put": (None, put_odd),
    "put plain": (lambda place: not isinstance(place.value, (dict, list)), put_odd),
    "put value": (is_value, put_odd),
    "put path": (is_path, put_path),
    "put option": (is_option, put_odd),
    "drop": (None, drop),
    "double": (None, double),
    "rename": (lambda place: isinstance(place.holder, dict), rename),
    "swap": (None, swap),
    "copy": (None, copy_over),
    "graft": (lambda place: isinstance(place.holder, dict), graft),
    "nudge": (lambda place: type(place.value) in (int, float), nudge),
    "retype": (lambda place: place.key in ("type", "class_type"), retype),
    "relink": (is_id, relink),
    "mode": (lambda place: isinstance(place.value, dict) and "type" in place.value, set_mode),
    "turn": (lambda place: isinstance(place.value, list) and len(place.value) > 1, turn),
    "insert": (lambda place: isinstance(place.value, (dict, list)), insert),
    "wrap": (None, wrap),
}
# Each as often as it tends to leave something that can still be run.
WEIGHTED = [
    kind
    for kind, weight in (
        *(
            ("put", 1),
            ("put plain", 2),
            ("put value", 4),
            ("put path", 4),
            ("drop", 2),
            ("double", 3),
            ("rename", 2),
            ("swap", 2),
        ),
        *(
            ("copy", 2),
            ("graft", 2),
            ("nudge", 3),
            ("retype", 3),
            ("relink", 4),
            ("mode", 2),
            ("turn", 2),
            ("insert", 2),
            ("wrap", 1),
        ),
    )
    for _ in range(weight)
]

SNIPPETS = (
    *(b'"', b"{", b"[", b"]", b"}", b",", b"0", b"\\", b"\0", b"\xff", b"\xed\xa0\x80", b"\\ud800", b'"a":1,', b"NaN"),
    *(b"Infinity", b"1e999", b"9" * 400, b"[" * 300, b"[" * 100_000, b'{"a":' * 250, b"//", b"'", b"\xef\xbb\xbf"),
    *(b"\xff\xfe", b"\x1f\x8b\x08", b"\x89PNG\r\n\x1a\n", b"RIFF", b"\xff\xd8\xff", b"ftyp", b"\x1aE\xdf\xa3", b"glTF"),
)  # fmt: skip
BYTE_KINDS = ("flip", "cut", "remove", "insert", "repeat")


def mutate_bytes(content: bytes, kind: str, where: int, size: int, odd: int) -> bytes:
    """`content` with one change of `BYTE_KINDS`; most are near a structural character, where they matter."""
    start = where % (len(content) + 1)
    end = min(start + 1 + size % 40, len(content))
    if kind == "flip" and start < end:
        return content[:start] + bytes([content[start] ^ (1 << odd % 8)]) + content[start + 1 :]
    if kind == "cut":
        return content[:start]
    if kind == "remove":
        return content[:start] + content[end:]
    if kind == "insert":
        start = 0 if size % 4 == 0 else start
        return content[:start] + SNIPPETS[odd % len(SNIPPETS)] + content[start:]
    return content[:end] + content[start:end] * (1 + size % 3) + content[end:]
