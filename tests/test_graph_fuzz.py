"""Mutated workflows and prompts: each gives a result or an `LLMSegError`, and touches no file outside its folders.

Every example takes the whole way of the command line: read, convert, override, check, run, report. The nodes are the
real core nodes, our own without the slow ones, stand-ins for others that our stored workflows name, and cheap ones
that return and expand to whatever the workflow says. Limits are lowered, so that mutations reach them.
Not here: the way itself (`fuzz_world`), the mutations (`mutations`), what they start from (`fuzz_seeds`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from file_guard import build_tree
from fuzz_world import MOST_EXPANDED, MOST_NODES, Example, World
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from mutations import BYTE_KINDS, ODD_VALUES, WEIGHTED, Mutation

from llmseg.graph.drawing import group_nodes, subgraphs
from llmseg.graph.execution import expansion
from llmseg.graph.files import workflow
from llmseg.run import load_nodes

EXAMPLES = {"prompt": 600, "drawing": 600, "group": 250, "records": 250, "bytes": 300}  # 2,000
SLOW_FACTOR = 25
MOST_NUMBERS = 2**15
MOST_CHARACTERS = 2**14
MOST_BYTES = 2**20
# At least this share of the examples of each form must end like this.
SHARES = {
    "prompt": {"unreadable": 0.02, "invalid": 0.05, "failed": 0.02, "done": 0.2},
    "drawing": {"unreadable": 0.02, "invalid": 0.05, "failed": 0.005, "done": 0.2},
    "group": {"unreadable": 0.02, "unconvertible": 0.05, "invalid": 0.05, "done": 0.2},
    "records": {"unreadable": 0.01, "invalid": 0.05, "done": 0.2},
    "bytes": {"unreadable": 0.2, "done": 0.03},
}
NUMBER = st.integers(0, 2**16 - 1)
MUTATION = st.builds(Mutation, st.sampled_from(WEIGHTED), NUMBER, NUMBER, st.integers(0, len(ODD_VALUES) - 1))
BYTES_CHANGE = st.tuples(st.sampled_from(BYTE_KINDS), NUMBER, st.integers(0, 255), st.integers(0, 255))
OVERRIDE = st.tuples(NUMBER, NUMBER, NUMBER)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    pytest.importorskip("torch")  # now: its own import starts a program, which the guard would refuse
    root = tmp_path_factory.mktemp("fuzz")
    build_tree(root)
    nodes = load_nodes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMSEG_DATA", str(root / "data"))
        patch.setattr(sys.modules[f"{nodes.__name__}.core.limits"], "MOST_NUMBERS", MOST_NUMBERS)
        for name in ("matching", "texts"):
            patch.setattr(sys.modules[f"{nodes.__name__}.core.{name}"], "MOST_CHARACTERS", MOST_CHARACTERS)
        patch.setattr(subgraphs, "MAX_NODES", MOST_NODES)
        patch.setattr(group_nodes, "MAX_NODES", MOST_NODES)
        patch.setattr(expansion, "MOST_EXPANDED", MOST_EXPANDED)
        patch.setattr(workflow, "MAX_BYTES", MOST_BYTES)
        folders = [root / kind for kind in ("input", "output", "temp")]
        before = nodes.host.use_headless(nodes.host.HeadlessHost(*folders, network="frozen"))
        world = World(root, nodes)
        yield world
        world.hangs.close()
        nodes.host.use_headless(before)


@pytest.fixture(autouse=True)
def same_data(world: World, own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nodes store goes where the guard expects it."""
    monkeypatch.setenv("LLMSEG_DATA", str(world.root / "data"))


@pytest.fixture
def outcomes(world: World) -> Iterator[World]:
    """The world; in the end its files must be what they were, and the mutations must have reached every stage."""
    world.ends.clear()
    world.rough.clear()
    yield world
    assert not world.rough, "core nodes that got what they declare failed without a word of their own"
    assert world.standing() == world.before
    ends = {tuple(key.split(": ")): count for key, count in world.ends.items() if ": " in key}
    for form in {form for form, _ in ends}:
        total = sum(count for (other, _), count in ends.items() if other == form)
        if total < EXAMPLES[form]:  # a failure was found early
            continue
        few = {
            end: ends.get((form, end), 0)
            for end, least in SHARES[form].items()
            if ends.get((form, end), 0) < least * total
        }
        assert not few, f"of {total} examples {few}; expected shares of {SHARES[form]}"


def examples(form: str) -> st.SearchStrategy[Example]:
    changes = st.lists(BYTES_CHANGE, min_size=1, max_size=3) if form == "bytes" else st.just(())
    mutations = st.lists(MUTATION, max_size=1 if form == "bytes" else 4)
    return st.builds(Example, NUMBER, mutations, changes, st.lists(OVERRIDE, max_size=2), st.integers(0, 4095))


def profile(form: str, factor: int = 1) -> settings:
    return settings(
        max_examples=EXAMPLES[form] * factor,
        derandomize=factor == 1,  # the same examples everywhere; the slow test looks for new ones
        database=None,
        deadline=None,  # what hangs is killed after `HANGS` seconds
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=factor > 1,
    )


def test_most_workflows_run_as_they_are(world: World) -> None:
    for form in ("prompt", "drawing", "group"):
        numbers = range(0, len(world.seeds[form]), 1 if form == "prompt" else 3)
        ends = [world.check(form, Example(number, (), (), (), 0)) for number in numbers]
        assert ends.count("done") > 0.7 * len(ends)


@profile("prompt")
@given(example=examples("prompt"))
def test_mutated_prompts(outcomes: World, example: Example) -> None:
    event(outcomes.check("prompt", example))


@profile("drawing")
@given(example=examples("drawing"))
def test_mutated_drawings(outcomes: World, example: Example) -> None:
    event(outcomes.check("drawing", example))


@profile("group")
@given(example=examples("group"))
def test_mutated_group_nodes(outcomes: World, example: Example) -> None:
    event(outcomes.check("group", example))


@profile("records")
@given(example=examples("records"))
def test_mutated_records_of_classes(outcomes: World, example: Example) -> None:
    event(outcomes.check("records", example))


@profile("bytes")
@given(example=examples("bytes"))
def test_mutated_files(outcomes: World, example: Example) -> None:
    event(outcomes.check("bytes", example))


@pytest.mark.slow
@pytest.mark.parametrize("form", EXAMPLES)
def test_many_more_of_them(outcomes: World, form: str) -> None:
    @profile(form, SLOW_FACTOR)
    @given(example=examples(form))
    def check(example: Example) -> None:
        outcomes.check(form, example)

    check()


# -- every bound ----------------------------------------------------------------------------------


def n(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def shown(**nodes: Any) -> str:
    """A prompt of these nodes; the result of `a` is shown."""
    return json.dumps({**nodes, "show": n("PreviewAny", source=["a", 0])})


def placing(kind: str) -> list[dict[str, Any]]:
    return [{"id": number, "type": kind, "inputs": [], "outputs": []} for number in (1, 2)]


def drawn(nodes: list[Any], subgraphs: dict[str, list[Any]], **more: Any) -> str:
    """A drawing with these definitions."""
    made = [{"id": key, "name": key, "nodes": inner, "links": []} for key, inner in subgraphs.items()]
    return json.dumps({"nodes": nodes, "links": [], "definitions": {"subgraphs": made}, **more})


GROUP = {"nodes": [{"type": "EmptyImage", "index": number} for number in range(60)], "links": [], "external": []}
DOUBLED = {f"s{number}": placing(f"s{number + 1}") for number in range(30)}
CHAIN = {f"s{number}": placing(f"s{number + 1}")[:1] for number in range(60)}
BOUNDS = {
    "bytes": (" " * MOST_BYTES + "{}", "unreadable", f"larger than {MOST_BYTES} bytes"),
    "depth": (shown(a=n("PrimitiveInt", value=0)).replace("0", "[" * 250 + "]" * 250, 1), "unreadable", "levels deep"),
    "digits": (shown(a=n("PrimitiveInt", value=10**300)), "unreadable", "a number of 301 digits"),
    "a definition in itself": (drawn(placing("s0"), {"s0": placing("s0")}), "unconvertible", "expand to more than"),
    "doubled definitions": (drawn(placing("s0"), DOUBLED), "unconvertible", f"more than {MOST_NODES} nodes"),
    "nested definitions": (drawn(placing("s0")[:1], CHAIN), "unconvertible", "50 levels"),
    "group nodes": (
        json.dumps({"nodes": placing("workflow>G") * 30, "links": [], "extra": {"groupNodes": {"G": GROUP}}}),
        "unconvertible",
        f"group nodes expand to more than {MOST_NODES} nodes",
    ),
    "faults": (json.dumps({"nodes": [1] * 5000, "links": []}), "unreadable", "more problems"),
    "a loop without an end": (shown(a=n("FuzzCount", a=-1)), "failed", f"expands to more than {MOST_EXPANDED} nodes"),
    "a wide expansion": (
        shown(a=n("FuzzExpand", a={f"x{number}": n("FuzzShow", a=1) for number in range(MOST_EXPANDED + 1)}, b=1)),
        "failed",
        f"expands to more than {MOST_EXPANDED} nodes",
    ),
    "numbers": (
        shown(a=n("EmptyImage", width=16384, height=16384, batch_size=4096, color=0)),
        "failed",
        f"at most {MOST_NUMBERS} numbers",
    ),
    "characters": (
        shown(a=n("StringReplace", string="x" * 1000, find="x", replace="y" * 1000)),
        "failed",
        f"at most {MOST_CHARACTERS}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDS)
def test_what_grows_beyond_its_bound_is_refused(world: World, name: str) -> None:
    content, end, message = BOUNDS[name]
    example = Example(0, (), (), (), 0)
    assert world.follow("bytes", content.encode(), example) == end
    assert message in world.told
