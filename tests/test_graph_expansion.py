"""Nodes that expand: results, loops, whose events they are, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from llmseg.graph import Event, Executor, ResultCache, RunResult
from llmseg.graph.execution import expansion as expansion_module


class Base:
    RETURN_TYPES: tuple[str, ...] = ("*",)
    FUNCTION = "execute"
    NAMES = ("a", "b")
    log: list[Any] = []  # noqa: RUF012

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        hidden = {"me": "UNIQUE_ID", "live": "DYNPROMPT"} if issubclass(cls, Expanding) else {}
        return {"required": {}, "optional": dict.fromkeys(cls.NAMES, ("*",)), "hidden": hidden}


class Expanding(Base):
    pass


class Add(Base):
    def execute(self, a: Any = 0, b: Any = 0) -> Any:
        self.log.append((a, b))
        return (a + b,)


class Show(Base):
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def execute(self, a: Any = None) -> Any:
        return {"ui": {"seen": (a,)}}


class Twice(Expanding):
    """Adds its input to itself, and shows it on the way."""

    def execute(self, me: str, live: Any, a: Any) -> Any:
        graph = {
            f"{me}.0.0.sum": {"class_type": "Add", "inputs": {"a": a, "b": a}},
            f"{me}.0.0.show": {"class_type": "Show", "inputs": {"a": [f"{me}.0.0.sum", 0]}},
        }
        return {"result": ([f"{me}.0.0.sum", 0],), "expand": graph}


class CountDown(Expanding):
    """A while loop: each round holds the next."""

    def execute(self, me: str, live: Any, a: int, b: int = 0) -> Any:
        if a == 0:
            return (b,)
        graph = {
            f"{me}.n": {"class_type": "CountDown", "inputs": {"a": a - 1, "b": [f"{me}.s", 0]}},
            f"{me}.s": {"class_type": "Add", "inputs": {"a": b, "b": a}},
        }
        return {"result": ([f"{me}.n", 0],), "expand": graph}


class Graph(Expanding):
    """Expands to whatever it is given."""

    def execute(self, me: str, live: Any, a: Any, b: Any = 0) -> Any:
        return {"result": (b,), "expand": a}


class Fail(Base):
    def execute(self, a: Any = 0) -> Any:
        raise ValueError("broken")


class Family(Expanding):
    def execute(self, me: str, live: Any) -> Any:
        if live.get_parent_node_id(me) is None:
            inner = {f"{me}.x": {"class_type": "Family", "inputs": {}}}
            return {"result": ([f"{me}.x", 0],), "expand": inner}
        family = (live.get_parent_node_id(me), live.get_real_node_id(me), live.get_display_node_id(me))
        return ((family, sorted(live.all_node_ids()), sorted(live.get_original_prompt()), live.has_node(me)),)


CLASSES: dict[str, type] = {
    cls.__name__: cls for cls in (Add, Show, Twice, CountDown, Graph, Fail, Family)
}  # fmt: skip


def n(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def run(prompt: dict[str, Any], outputs: list[str], **options: Any) -> RunResult:
    Base.log.clear()
    return Executor(CLASSES, **options).run(prompt, outputs)


@pytest.mark.parametrize("cache", [None, ResultCache()])
def test_inner_nodes_run_and_their_results_are_the_parents(cache: ResultCache | None) -> None:
    events: list[Event] = []
    prompt = {"1": n("Add", a=3), "5": n("Twice", a=["1", 0]), "9": n("Show", a=["5", 0])}
    result = run(prompt, ["9"], cache=cache, on_event=events.append)
    assert result.error is None
    assert result.ui == {"9": {"seen": [6]}, "5.0.0.show": {"seen": [6]}}
    assert [(e.kind, e.node_id, e.display_id) for e in events if e.kind == "finished"] == [
        ("finished", "1", "1"),
        ("finished", "5.0.0.sum", "5"),
        ("finished", "5.0.0.show", "5"),
        ("finished", "5", "5"),
        ("finished", "9", "9"),
    ]


def test_an_expanded_result_is_cached_as_a_whole() -> None:
    executor = Executor(CLASSES, cache=ResultCache())
    prompt = {"5": n("CountDown", a=3), "9": n("Show", a=["5", 0])}
    assert executor.run(prompt, ["9"]).ui["9"] == {"seen": [6]}
    again = executor.run(prompt, ["9"])
    assert (again.executed, again.ui["9"]) == ([], {"seen": [6]})


@pytest.mark.parametrize("cache", [None, ResultCache()])
def test_a_loop_of_many_rounds_ends_with_its_sum(cache: ResultCache | None) -> None:
    result = run({"5": n("CountDown", a=600), "9": n("Show", a=["5", 0])}, ["9"], cache=cache)
    assert result.error is None
    assert result.ui["9"] == {"seen": [600 * 601 // 2]}


def test_rounds_that_look_alike_run_each_for_itself_in_the_cache_of_one_run() -> None:
    graph = [{f"{key}x": n("Add", a=1, b=2), f"{key}y": n("Show", a=[f"{key}x", 0])} for key in "pq"]
    prompt = {"1": n("Graph", a=graph[0], b=1), "2": n("Graph", a=graph[1], b=2), "8": n("Show", a=["1", 0]),
              "9": n("Show", a=["2", 0])}  # fmt: skip
    assert run(prompt, ["8", "9"], cache=ResultCache()).error is None
    assert Base.log == [(1, 2), (1, 2)]


def test_list_calls_expand_each_for_itself_and_lists_come_back_whole() -> None:
    class Items(Base):
        OUTPUT_IS_LIST = (True,)

        def execute(self, a: Any) -> Any:
            return (a,)

    class Each(Expanding):
        OUTPUT_IS_LIST = (True,)

        def execute(self, me: str, live: Any, a: int) -> Any:
            if a == 2:
                return ([20, 21],)
            return {"result": ([f"{me}.{a}", 0],), "expand": {f"{me}.{a}": n("Items", a={"__value__": [a, a]})}}

    executor = Executor({**CLASSES, "Items": Items, "Each": Each})
    prompt = {"1": n("Items", a={"__value__": [1, 2, 3]}), "5": n("Each", a=["1", 0]), "9": n("Show", a=["5", 0])}
    assert executor.run(prompt, ["9"]).ui["9"] == {"seen": [1, 1, 20, 21, 3, 3]}


def test_nodes_see_the_prompt_as_it_grows() -> None:
    result = run({"5": n("Family"), "9": n("Show", a=["5", 0])}, ["9"])
    assert result.ui["9"]["seen"] == [(("5", "5", "5"), ["5", "5.x", "9"], ["5", "9"], True)]


def test_a_later_reader_gets_what_was_let_go() -> None:
    class Late(Expanding):
        def execute(self, me: str, live: Any, a: Any) -> Any:
            return {"result": (["late", 0],), "expand": {"late": n("Add", a=["1", 0], b=a)}}

    executor = Executor({**CLASSES, "Late": Late})
    prompt = {"1": n("Add", a=1), "2": n("Add", a=["1", 0]), "5": n("Late", a=["2", 0]), "9": n("Show", a=["5", 0])}
    assert executor.run(prompt, ["9"]).ui["9"] == {"seen": [2]}


def test_failures_inside_are_told_with_both_nodes() -> None:
    inner = {"class_type": "Graph", "inputs": {"a": {"x": n("Fail"), "y": n("Show", a=["x", 0])}, "b": 1}}
    result = run({"5": inner, "9": n("Show", a=["5", 0])}, ["9"])
    assert str(result.error) == "node 5 (Graph), inner node x (Fail): ValueError: broken"
    assert result.error is not None
    assert (result.error.node_id, result.error.class_type) == ("5", "Graph")
    assert isinstance(result.error.__cause__, ValueError)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"x": 7}, "expands to a graph with node x: 7; expected an object with class_type and inputs."),
        ({"9": n("Add")}, "expands to a graph with node '9', an id that is taken; expected a new one."),
        ({7: n("Add")}, "expands to a graph with node 7; expected a text as id."),
        ({"x": n("Ad")}, "expands to a graph with node x: unknown name 'Ad'; expected one of Add, Show, Twice, "
         "CountDown, Graph, Fail, Family. Did you mean 'Add'?"),
        ({"x": n("Add", a=["z", 0])}, "expands to a graph with a link to node 'z', which does not exist."),
    ],
)  # fmt: skip
def test_graphs_of_a_wrong_form_are_refused(graph: Any, message: str) -> None:
    result = run({"5": n("Graph", a=graph, b=0), "9": n("Show", a=["5", 0])}, ["9"])
    assert str(result.error) == f"node 5 (Graph): {message}"


def test_a_loop_without_an_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion_module, "MOST_EXPANDED", 50)
    result = run({"5": n("CountDown", a=-1), "9": n("Show", a=["5", 0])}, ["9"])
    assert "expands to more than 50 nodes; expected a loop that ends." in str(result.error)
    assert len(result.executed) < 60


@pytest.mark.parametrize("cache", [None, ResultCache()])
def test_a_circle_through_an_expansion_is_told(cache: ResultCache | None) -> None:
    graph = {"x": n("Add", a=["y", 0]), "y": n("Add", a=["x", 0]), "z": n("Show", a=["x", 0])}
    result = run({"5": n("Graph", a=graph, b=0), "9": n("Show", a=["5", 0])}, ["9"], cache=cache)
    assert "): the links form a cycle of 2 nodes; expected links in one direction." in str(result.error)
    assert str(result.error).startswith("node 5 (Graph), inner node ")
    assert result.ui["9"] == {"seen": [0]}
