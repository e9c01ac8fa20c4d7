"""Tests of `nodes/core/texts`, `regexes` and `matching`: values by hand, limits, and searches that never end."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from llmseg.errors import InputError

FLAGS = {"case_insensitive": False, "multiline": False, "dotall": False}
RESULTS: list[tuple[str, list[Any], Any]] = [
    ("StringConcatenate", ["a", "b", ""], "ab"),
    ("StringConcatenate", ["a", "", ", "], "a, "),
    ("StringConcatenate", ["", "", "é\n"], "é\n"),
    ("StringSubstring", ["abcde", 1, 3], "bc"),
    ("StringSubstring", ["abcde", -2, 99], "de"),
    ("StringSubstring", ["abcde", -99, -3], "ab"),
    ("StringSubstring", ["abcde", 3, 1], ""),
    ("StringSubstring", ["abcde", 2, 0], ""),
    ("StringSubstring", ["abcde", 2**63, 2**70], ""),
    ("StringSubstring", ["e\u0301😀x", 1, 3], "\u0301😀"),
    ("StringLength", [""], 0),
    ("StringLength", ["a\r\n😀"], 4),
    ("StringLength", ["e\u0301"], 2),
    ("CaseConverter", ["straße ŉ", "UPPERCASE"], "STRASSE ʼN"),
    ("CaseConverter", ["ÀB İ", "lowercase"], "àb i\u0307"),
    ("CaseConverter", ["aB cD", "Capitalize"], "Ab cd"),
    ("CaseConverter", [" aB", "Capitalize"], " ab"),
    ("CaseConverter", ["it's a2b x_y", "Title Case"], "It'S A2B X_Y"),
    ("CaseConverter", ["aB", "unknown"], "aB"),
    ("StringTrim", [" \t\u3000a b\n\x1c", "Both"], "a b"),
    ("StringTrim", [" a ", "Left"], "a "),
    ("StringTrim", [" a ", "Right"], " a"),
    ("StringTrim", ["\u200ba\ufeff ", "Both"], "\u200ba\ufeff"),
    ("StringTrim", [" a ", "unknown"], " a "),
    ("StringReplace", ["aaa", "aa", "b"], "ba"),
    ("StringReplace", ["ab", "", "-"], "-a-b-"),
    ("StringReplace", ["", "", "x"], "x"),
    ("StringReplace", ["a.b", ".", "\\1"], "a\\1b"),
    ("StringReplace", ["abc", "b", ""], "ac"),
    ("StringContains", ["Abc", "bC", True], False),
    ("StringContains", ["Abc", "bC", False], True),
    ("StringContains", ["", "", True], True),
    ("StringContains", ["a", "", True], True),
    ("StringContains", ["STRASSE", "straße", False], False),
    ("StringCompare", ["Abc", "aB", "Starts With", False], True),
    ("StringCompare", ["Abc", "aB", "Starts With", True], False),
    ("StringCompare", ["abc", "bc", "Ends With", True], True),
    ("StringCompare", ["abc", "", "Ends With", True], True),
    ("StringCompare", ["abc", "ABC", "Equal", False], True),
    ("StringCompare", ["é", "e\u0301", "Equal", False], False),
    ("StringCompare", ["a", "a", "unknown", True], None),
]
# (text, pattern, flags, whether it matches)
SEARCHES: list[tuple[str, str, int, bool]] = [
    ("abc", "B", 0, False),
    ("abc", "B", re.IGNORECASE, True),
    ("a\nb", "^b", 0, False),
    ("a\nb", "^b", re.MULTILINE, True),
    ("a\nb", "a.b", 0, False),
    ("a\nb", "a.b", re.DOTALL, True),
    ("", "", 0, True),
    ("a", "(", 0, False),
    ("a", r"\p{L}", 0, False),
    ("a{e<=1}", "a{e<=1}", 0, True),
    ("b", "a{e<=1}", 0, False),
    ("\u0301", r"\w", 0, False),
    ("\x1c", r"\s", 0, True),
    ("\u0130ſ", "is", re.IGNORECASE, True),
]
# (text, pattern, mode, group, result)
EXTRACTS: list[tuple[str, str, str, int, str | None]] = [
    ("a1b22", r"\d+", "First Match", 1, "1"),
    ("a1b22", "x", "First Match", 1, ""),
    ("a1b22", r"\d+", "All Matches", 1, "1\n22"),
    ("a1b22", r"([a-z])\d+", "All Matches", 0, "a\nb"),
    ("a1b22", r"([a-z])(\d+)", "All Matches", 2, "a\nb"),
    ("ab", "(x)?[ab]", "All Matches", 1, "\n"),
    ("ab", "x", "All Matches", 1, ""),
    ("ab", "", "All Matches", 1, "\n\n"),
    ("a1b22", r"([a-z])(\d+)", "First Group", 2, "1"),
    ("a1b22", r"([a-z])(\d+)", "First Group", 0, "a1"),
    ("a1b22", r"([a-z])(\d+)", "First Group", 3, ""),
    ("a1b22", r"\d+", "First Group", 0, "1"),
    ("a1b22", r"\d+", "First Group", 1, ""),
    ("b", "(a)?b", "First Group", 1, None),
    ("x", "(a)b", "First Group", -1, ""),
    ("a1b22", r"([a-z])(\d+)", "All Groups", 2, "1\n22"),
    ("a1b22", r"([a-z])(\d+)", "All Groups", 0, "a1\nb22"),
    ("a1b22", r"\d+", "All Groups", 0, ""),
    ("a1b22", r"([a-z])(\d+)", "All Groups", 3, ""),
    ("a\r\nb", r"(\r\n)", "All Groups", 1, "\r\n"),
    ("a", "(", "First Match", 1, ""),
    ("a", "*", "All Groups", 1, ""),
    ("a", "a", "unknown", 1, ""),
]
# (text, pattern, what stands in its place, count, result)
REPLACEMENTS: list[tuple[str, str, str, int, str]] = [
    ("a1b22", r"\d+", "#", 0, "a#b#"),
    ("a1b22", r"\d", "#", 2, "a#b#2"),
    ("a1b22", r"\d", "#", -1, "a1b22"),
    ("a1b22", r"\d", "#", 2**70, "a#b##"),
    ("ab", r"(?P<x>a)(b)", r"\2\g<x>\g<0>\\1\n", 0, "baab\\1\n"),
    ("ab", "", "-", 0, "-a-b-"),
    ("abxb", "x*", "-", 0, "-a-b--b-"),
    ("ab", "(x)?a", r"[\1]", 0, "[]b"),
    ("😀\ud800", ".", r"<\g<0>>", 0, "<😀><\ud800>"),
]
SHORT = "expected at most 16777216."


def execute(nodes: Any, key: str, *arguments: Any, **named: Any) -> Any:
    (result,) = nodes("core").CORE_NODES[key]().execute(*arguments, **named)
    return result


@pytest.mark.parametrize(("key", "arguments", "result"), RESULTS)
def test_results(nodes: Any, key: str, arguments: list[Any], result: Any) -> None:
    assert execute(nodes, key, *arguments) == result


@pytest.mark.parametrize(("text", "pattern", "flags", "result"), SEARCHES)
def test_search(nodes: Any, text: str, pattern: str, flags: int, result: bool) -> None:
    assert nodes("core.matching").search(text, pattern, flags) is result


@pytest.mark.parametrize(("text", "pattern", "mode", "group", "result"), EXTRACTS)
def test_extract(nodes: Any, text: str, pattern: str, mode: str, group: int, result: str | None) -> None:
    assert nodes("core.matching").extract(text, pattern, 0, mode, group) == result


@pytest.mark.parametrize(("text", "pattern", "template", "count", "result"), REPLACEMENTS)
def test_replace(nodes: Any, text: str, pattern: str, template: str, count: int, result: str) -> None:
    assert nodes("core.matching").replace(text, pattern, 0, template, count) == result


def test_nodes_ask_the_other_process(nodes: Any) -> None:
    text = "A\r\n\ud83d" + "\ude00"  # two halves that are not one character
    assert execute(nodes, "RegexMatch", text, "a", **{**FLAGS, "case_insensitive": True}) is True
    assert execute(nodes, "RegexExtract", text, "(?s)(.+)", "First Group", **FLAGS, group_index=1) == text
    assert execute(nodes, "RegexReplace", text, "a|\ude00", "") == "\r\n\ud83d"
    assert execute(nodes, "RegexExtract", "b", "(a)?b", "First Group", **FLAGS, group_index=1) is None


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        (
            "replace",
            {"text": "", "pattern": "(a", "template": "", "count": 0},
            "regex_pattern: '(a': missing ), unterminated subpattern at position 0; expected a regular expression.",
        ),
        (
            "replace",
            {"text": "", "pattern": "a", "template": "\\1", "count": 0},
            "replace: '\\\\1': invalid group reference 1 at position 1; expected text, with groups as \\1.",
        ),
        (
            "replace",
            {"text": "", "pattern": "a", "template": "\\g<x>", "count": 0},
            "replace: '\\\\g<x>': unknown group name 'x'; expected text, with groups as \\1.",
        ),
        (
            "extract",
            {"text": "ab", "pattern": "(a)|b", "mode": "All Groups", "group": 1},
            "group_index: the group took no part in match 2; expected it in every match. Choose another group.",
        ),
        (
            "extract",
            {"text": "a", "pattern": "(a)", "mode": "First Group", "group": -1},
            "group_index: -1; expected 0 or more.",
        ),
        (
            "search",
            {"text": "", "pattern": f"a{{{2**64}}}"},
            "regex_pattern: 'a{18446744073709551616}': the repetition number is too large; "
            "expected a simpler regular expression.",
        ),
    ],
)
def test_what_a_search_refuses(nodes: Any, task: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        nodes("core.regexes").run_apart(task, {"flags": 0, **arguments})
    assert str(caught.value) == message


def test_a_search_without_end_is_ended(nodes: Any) -> None:
    arguments = {"text": "a" * 60 + "b", "pattern": "(a+)+$", "flags": 0}
    with pytest.raises(InputError) as caught:
        nodes("core.regexes").run_apart("search", arguments, seconds=0.3)
    assert str(caught.value) == (
        "regex_pattern: '(a+)+$' was not done with 61 characters after 0.3 seconds; "
        "expected a faster search. Avoid repeats inside repeats, such as (a+)+."
    )


def test_a_search_that_breaks_off_is_one_clear_error(nodes: Any) -> None:
    with pytest.raises(InputError, match=r"^regex_pattern: the search for 'x' broke off with code 1; expected"):
        nodes("core.regexes").run_apart("no task", {"text": "", "pattern": "x"})


@pytest.mark.parametrize("pattern", ["(" * 5000 + ")" * 5000, "(?:" * 99 + "a" + "{9}" * 99, "a{0," + "9" * 5000 + "}"])
def test_monstrous_patterns_are_answered(nodes: Any, pattern: str) -> None:
    request = json.dumps(["search", {"text": "b", "pattern": pattern, "flags": 0}]).encode()
    reply = json.loads(nodes("core.matching").answer(request))
    assert reply == {"result": False} or reply["place"] == "regex_pattern"


@pytest.mark.parametrize(
    ("key", "arguments", "message"),
    [
        ("StringConcatenate", ["a" * 2**23, "b" * 2**23, "-"], f"string_b: a result of 16777217 characters; {SHORT}"),
        ("StringReplace", ["a" * 2**14, "", "b" * 2**14], f"replace: a result of 268468224 characters; {SHORT}"),
        ("RegexReplace", ["a" * 2**14, "", "b" * 2**14], "replace: the result could have more than 16777216 "),
        ("RegexReplace", ["a" * 2**14, "a+", "\\g<0>" * 2**14], "replace: the result could have more than 16777216 "),
        ("RegexReplace", ["a" * (2**20 + 1), "a", ""], "string: 1048577 characters; expected at most 1048576 for "),
        ("RegexReplace", ["a", "a" * (2**16 + 1), ""], "regex_pattern: 65537 characters; expected at most 65536 for "),
        ("RegexReplace", ["a", "a", "a" * (2**20 + 1)], "replace: 1048577 characters; expected at most 1048576 for "),
    ],
)
def test_results_that_would_fill_the_memory(nodes: Any, key: str, arguments: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        execute(nodes, key, *arguments)
    assert str(caught.value).startswith(message)


def test_the_largest_results(nodes: Any) -> None:
    half = "a" * 2**23
    assert len(execute(nodes, "StringConcatenate", half, half, "")) == 2**24
    assert len(execute(nodes, "StringReplace", half, "a", "bb")) == 2**24
    assert execute(nodes, "StringReplace", half + half + "a", "a", "") == ""


def test_extracted_lines_are_bounded(nodes: Any) -> None:
    matching = nodes("core.matching")
    text = "a" * 10_000
    assert len(matching.extract(text[:5000], "(?=(a+))", 0, "All Matches", 0)) == sum(range(1, 5001)) + 4999
    with pytest.raises(matching.Refused, match=r"^matches of more than 16777216 characters; expected fewer\.$"):
        matching.extract(text, "(?=(a+))", 0, "All Groups", 1)


CALLS: dict[str, dict[str, Any]] = {
    "CaseConverter": {"string": "a", "mode": "lowercase"},
    "RegexExtract": {"string": "a", "regex_pattern": "a", "mode": "First Match", **FLAGS, "group_index": 1},
    "RegexMatch": {"string": "a", "regex_pattern": "a", **FLAGS},
    "RegexReplace": {"string": "a", "regex_pattern": "a", "replace": "a", **FLAGS, "count": 0},
    "StringCompare": {"string_a": "a", "string_b": "a", "mode": "Equal", "case_sensitive": True},
    "StringConcatenate": {"string_a": "a", "string_b": "a", "delimiter": "a"},
    "StringContains": {"string": "a", "substring": "a", "case_sensitive": True},
    "StringLength": {"string": "a"},
    "StringReplace": {"string": "a", "find": "a", "replace": "a"},
    "StringSubstring": {"string": "a", "start": 0, "end": 1},
    "StringTrim": {"string": "a", "mode": "Both"},
}


def test_the_table_of_calls_is_complete(nodes: Any) -> None:
    assert sorted(CALLS) == sorted([*nodes("core.texts").NODES, *nodes("core.regexes").NODES])
    for key, arguments in CALLS.items():
        declared = nodes("core").CORE_NODES[key].INPUT_TYPES()
        assert list(arguments) == [*declared["required"], *declared.get("optional", {})], key


@pytest.mark.parametrize(
    ("key", "name"),
    [(key, name) for key, call in CALLS.items() for name, value in call.items() if not isinstance(value, bool)],
)
@pytest.mark.parametrize("value", [None, 1.5, ["a"]])
def test_values_of_another_type_are_refused(nodes: Any, key: str, name: str, value: Any) -> None:
    kind = type(CALLS[key][name]).__name__
    with pytest.raises(InputError) as caught:
        execute(nodes, key, **{**CALLS[key], name: value})
    assert str(caught.value) == f"{name}: {type(value).__name__}; expected {kind}."


def test_the_script_needs_the_standard_library_only(nodes: Any) -> None:
    tree = ast.parse(Path(nodes("core.matching").__file__).read_text(encoding="utf-8"))
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
    assert {name.split(".")[0] for name in names if name} <= set(sys.stdlib_module_names)
