"""The stand-ins for texts, values and choices against ComfyUI's own classes, on the same inputs.

Needs a checkout named by COMFYUI_PATH whose requirements the running Python meets; its classes run
in a second process, started once, so that none of its modules is imported here.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from typing import Any

import pytest

from llmseg.errors import InputError

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
]

# Runs inside the checkout: reads `job.json` in its argument, writes `out.json`.
SCRIPT = """
import asyncio, json, sys, warnings
from pathlib import Path
folder = Path(sys.argv.pop())
sys.argv = ["main.py", "--cpu"]
warnings.simplefilter("ignore")
import comfy.options
comfy.options.enable_args_parsing()
from comfy_extras import nodes_logic, nodes_primitive, nodes_string
classes = {}
for module in (nodes_logic, nodes_primitive, nodes_string):
    extension = asyncio.run(module.comfy_entrypoint())
    classes |= {made.GET_SCHEMA().node_id: made for made in asyncio.run(extension.get_node_list())}
def outcome(made, function, arguments):
    try:
        result = getattr(made, function)(**arguments)
    except Exception as error:
        return {"error": type(error).__name__}
    return {"result": list(result.result or []) if hasattr(result, "result") else result}
job = json.loads((folder / "job.json").read_text(encoding="ascii"))
out = {"nodes": {key: made.GET_NODE_INFO_V1() for key, made in classes.items()}}
out["calls"] = [outcome(classes[key], function, arguments) for key, function, arguments in job]
(folder / "out.json").write_text(json.dumps(out), encoding="ascii")
"""
COMPARISONS = ["Starts With", "Ends With", "Equal", "?"]
CASES = ["UPPERCASE", "lowercase", "Capitalize", "Title Case", "?"]
MODES = ["First Match", "All Matches", "First Group", "All Groups", "?"]
LETTERS = [*"abABaab12_ .-(\n\r\té", "e\u0301", *"ıİiIßẞſsKkŉΐΣςﬃǆǅ½²٣का😀", *"\u200d\x1c\x85\xa0\u3000\ud800"]
ATOMS = (
    r"a|b|A|B|1|_|\ |.|.|é|ı|İ|ß|ſ|K|²|😀|^|$|\w|\w|\W|\d|\D|\s|\S|\b|\B|\A|\Z|\.|\n|[a-c]|[^b]|[\w-]|[^\W\d_]|[A-Zé]"
)
ATOMS += (
    r"|[[:alpha:]]|[^\S\n]|{e<=1}|{,2}|(?=a)|(?!b)|(?<=a)|(?<!\w)|(?:ab)|(?i:a)|(?-i:b)|(?P<n>a)|[\d--b]|(?s:.)|(?m:^)"
)
RARE = r"\1|\2|(?P=n)|\p{L}|\X|(|)|[|*|{2}|(?x)|(?>a+)|\|(?(1)a|b)|(?a:\w)"  # mostly errors
TEMPLATES = [
    "",
    "x",
    r"<\1>",
    r"\g<0>\g<0>",
    r"\g<n>",
    r"\2",
    r"\n\t\\",
    r"\q",
    r"\g<9>",
    r"\g<",
    "\\",
    r"\0\101",
    "$1&",
]
TEMPLATES += [r"[\g<1>]", "-"]
FIXED: list[tuple[str, str]] = [
    ("", ""),
    ("a\nb\nc", "^b$"),
    ("price: 12.50 EUR", r"(\d+)\.(\d+)"),
    ("k1=v1, k2=v2;k3=", r"(\w+)=(\w*)"),
    ("dog, cat , , grass", r"\s*,\s*"),
    ("Straße STRASSE strasse", "straße"),
    ("naïve e\u0301te\u0301", r"\b\w+\b"),
    ("हिन्दी text", r"\w+"),
    ("ab" * 20, "(?:a|b)*"),
    ("(a)|b", "(a)|b"),
    ("b", "(a)?b"),
    ("İIıi", "i"),
    ("<a><b></b>", "<(.+?)>"),
    ("x", "(unclosed"),
    ("x", "a{99999999999999999999}"),
    ("x", "(?<=a+)x"),
]


def random_text(rng: random.Random, most: int = 12) -> str:
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(0, most)))


def random_pattern(rng: random.Random, depth: int = 0) -> str:
    """Repeats of repeats are rare and only two deep: nobody waits for ever here."""
    parts = []
    for _ in range(rng.randint(1, 2)):
        part = rng.choice((ATOMS if rng.random() < 0.97 else RARE).split("|"))
        repeat = rng.choice(["", "", "*", "+", "?", "*?", "+?", "{1,2}"])
        if rng.random() < 0.4 and depth < 2:
            inner = random_pattern(rng, depth + 1)
            part = f"({inner}|{random_pattern(rng, depth + 1)})" if rng.random() < 0.4 else f"({inner})"
            repeat = repeat if rng.random() < 0.3 else ""
        parts.append(part + repeat)
    return "".join(parts)


def string_calls(rng: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Of every node for texts without patterns; half of the pieces do occur in their text."""
    calls: list[tuple[str, dict[str, Any]]] = []
    numbers = [0, 1, -1, 3, -3, 99, -99, 2**63 - 1, 1 - 2**63]
    for turn in range(300):
        text, other = random_text(rng), random_text(rng, 3)
        if turn % 2:
            start = rng.randint(0, len(text))
            other = text[start : start + rng.randint(0, 3)]
            other = rng.choice([other, other.upper(), other.lower()])
        ends = {"start": rng.choice(numbers), "end": rng.choice(numbers)}
        compared = {
            "string_a": text,
            "string_b": rng.choice([other, text.swapcase()]),
            "mode": rng.choice(COMPARISONS),
        }
        cased = {"case_sensitive": rng.random() < 0.5}
        calls += [
            ("StringConcatenate", {"string_a": text, "string_b": other, "delimiter": random_text(rng, 2)}),
            ("StringSubstring", {"string": text, **ends}),
            ("StringLength", {"string": text}),
            (
                "CaseConverter",
                {"string": text, "mode": rng.choice(CASES)},
            ),
            ("StringTrim", {"string": text, "mode": rng.choice(["Both", "Left", "Right", "?"])}),
            ("StringReplace", {"string": text, "find": other, "replace": random_text(rng, 3)}),
            ("StringContains", {"string": text, "substring": other, **cased}),
            ("StringCompare", {**compared, **cased}),
        ]
    return calls


def pattern_calls(rng: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Of the nodes for regular expressions, the ones of `FIXED` first."""
    calls: list[tuple[str, dict[str, Any]]] = []
    pairs = FIXED + [(random_text(rng), random_pattern(rng)) for _ in range(2500)]
    for turn, (text, pattern) in enumerate(pairs):
        names = ("case_insensitive", "multiline", "dotall")
        shared = {"string": text, "regex_pattern": pattern, **{name: rng.random() < 0.5 for name in names}}
        chosen = MODES if turn < len(FIXED) else [rng.choice(MODES)]
        calls.append(("RegexMatch", shared))
        calls += [
            ("RegexExtract", {**shared, "mode": mode, "group_index": rng.choice([0, 1, 2, 3, -1])}) for mode in chosen
        ]
        calls.append(
            ("RegexReplace", {**shared, "replace": rng.choice(TEMPLATES), "count": rng.choice([0, 0, 1, 2, -1])})
        )
    return calls


def value_calls() -> list[tuple[str, dict[str, Any]]]:
    values: list[Any] = ["", "a", 0, -1, 2**63 - 1, 0.1, True, None, [1]]
    keys = ["PrimitiveString", "PrimitiveStringMultiline", "PrimitiveInt", "PrimitiveFloat", "PrimitiveBoolean"]
    calls = [(key, {"value": value}) for key in keys for value in values]
    calls += [("CustomCombo", {"choice": value}) for value in values]
    sides = list(itertools.product([True, False, 0, 2, "", None], [None, 1, ""], [None, 2, []]))
    return calls + [
        ("ComfySwitchNode", dict(zip(["switch", "on_false", "on_true"], side, strict=True))) for side in sides
    ]


PATTERN_CALLS = pattern_calls(random.Random(1))
CALLS = [*value_calls(), *string_calls(random.Random(0)), *PATTERN_CALLS]
LAZY = [arguments for key, arguments in CALLS if key == "ComfySwitchNode"]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run ComfyUI's classes once: what they declare, and the outcome of every call."""
    folder = tmp_path_factory.mktemp("comfyui")
    job = [(key, "execute", arguments) for key, arguments in CALLS]
    job += [("ComfySwitchNode", "check_lazy_status", arguments) for arguments in LAZY]
    (folder / "job.json").write_text(json.dumps(job), encoding="ascii")
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    done = subprocess.run(command, cwd=os.environ["COMFYUI_PATH"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads((folder / "out.json").read_text(encoding="ascii"))
    assert len(result["calls"]) == len(job)
    return result


def search(nodes: Any, key: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What the script of a regular expression answers, without a process for each call."""
    matching = nodes("core.matching")
    task = {"RegexExtract": "extract", "RegexMatch": "search", "RegexReplace": "replace"}[key]
    renamed = {"string": "text", "regex_pattern": "pattern", "replace": "template", "group_index": "group"}
    named = {renamed.get(name, name): value for name, value in arguments.items()}
    switches = [named.pop(name) for name in ("case_insensitive", "multiline", "dotall")]
    named["flags"] = nodes("core.regexes").search_flags(*switches)
    reply = json.loads(matching.answer(json.dumps([task, named]).encode("ascii")).decode(*matching.ENCODING))
    return {"error": reply["place"]} if "problem" in reply else {"result": [reply["result"]]}


def outcome(nodes: Any, key: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": list(nodes("core").CORE_NODES[key]().execute(**arguments))}
    except InputError as error:
        return {"error": str(error)}


def assert_same(mine: dict[str, Any], other: dict[str, Any], what: object) -> None:
    if "error" in other:
        assert "error" in mine, what
    else:
        assert mine == {"result": other["result"] or [None]}, what


def test_texts_and_values(nodes: Any, theirs: dict[str, Any]) -> None:
    compared = 0
    for (key, arguments), other in zip(CALLS, theirs["calls"], strict=False):
        if not key.startswith("Regex"):
            assert_same(outcome(nodes, key, arguments), other, (key, arguments))
            compared += 1
    assert compared == len(CALLS) - len(PATTERN_CALLS)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_regular_expressions(nodes: Any, theirs: dict[str, Any]) -> None:
    found = failed = 0
    for (key, arguments), other in zip(CALLS, theirs["calls"], strict=False):
        if key.startswith("Regex"):
            assert_same(search(nodes, key, arguments), other, (key, arguments))
            found += bool(other.get("result") and other["result"][0])
            failed += "error" in other
    assert found > 1500
    assert failed > 300


def test_regular_expressions_in_their_own_process(nodes: Any, theirs: dict[str, Any]) -> None:
    rows = [row for row in zip(CALLS, theirs["calls"], strict=False) if row[0][0].startswith("Regex")]
    for (key, arguments), other in rows[:60]:
        assert_same(outcome(nodes, key, arguments), other, (key, arguments))


def test_what_the_switch_asks_for(nodes: Any, theirs: dict[str, Any]) -> None:
    for arguments, other in zip(LAZY, theirs["calls"][len(CALLS) :], strict=True):
        asked = nodes("core").CORE_NODES["ComfySwitchNode"]().check_lazy_status(**arguments)
        assert asked == (other["result"] or []), arguments


def without_tooltips(groups: Any) -> Any:
    plain = {}
    for group, inputs in groups.items():
        plain[group] = {
            name: [kind, {key: value for key, value in options.items() if key != "tooltip"}]
            for name, (kind, options) in inputs.items()
        }
    return plain


def test_declarations(nodes: Any, theirs: dict[str, Any]) -> None:
    ours = {**nodes("core.texts").NODES, **nodes("core.regexes").NODES, **nodes("core.values").NODES}
    assert sorted(ours) == sorted(theirs["nodes"])
    for key, (made, title) in ours.items():
        info, declared = theirs["nodes"][key], made.INPUT_TYPES()
        assert without_tooltips(declared) == without_tooltips(info["input"]), key
        assert {group: list(inputs) for group, inputs in declared.items()} == info["input_order"], key
        assert list(made.RETURN_TYPES) == info["output"], key
        assert list(getattr(made, "RETURN_NAMES", made.RETURN_TYPES)) == info["output_name"], key
        assert (title, made.CATEGORY) == (info["display_name"], info["category"]), key
        flags = {"output_node": "OUTPUT_NODE", "experimental": "EXPERIMENTAL", "deprecated": "DEPRECATED"}
        assert {name: getattr(made, flag, False) for name, flag in flags.items()} == {
            name: info[name] for name in flags
        }, key
