"""Runs: order, lists, laziness, blocking, caching, errors, events, memory, long chains."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from llmseg.errors import LLMSegError
from llmseg.graph import Event, Executor, ResultCache, RunResult

ROOT = Path(__file__).resolve().parent.parent


class ExecutionBlocker:
    def __init__(self, message: str | None) -> None:
        self.message = message


class Node:
    """A node that writes down its calls."""

    RETURN_TYPES: tuple[str, ...] = ("*",)
    FUNCTION = "execute"
    OPTIONAL: dict[str, Any] = {"a": ("*",), "b": ("*",)}  # noqa: RUF012
    log: list[Any] = []  # noqa: RUF012

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "optional": cls.OPTIONAL, "hidden": {"me": "UNIQUE_ID"} if cls is Me else {}}


class Add(Node):
    def execute(self, a: Any = 0, b: Any = 0) -> Any:
        self.log.append((a, b))
        return (a + b,)


class Me(Node):
    def execute(self, me: str) -> Any:
        return ((me, id(self)),)


class Items(Node):
    OUTPUT_IS_LIST = (True,)

    def execute(self, a: Any) -> Any:
        return (list(range(a)),)


class Whole(Node):
    INPUT_IS_LIST = True

    def execute(self, a: Any, b: Any) -> Any:
        self.log.append((a, b))
        return (sum(a),)


class Fail(Node):
    def execute(self, a: Any = 0) -> Any:
        raise a if isinstance(a, BaseException) else ValueError("broken")


class Block(Node):
    def execute(self, a: Any) -> Any:
        return (ExecutionBlocker(a),)


class Later(Node):
    async def execute(self, a: Any = 0) -> Any:
        return (a + 1,)


class Make(Node):
    def execute(self, a: Any = 0) -> Any:
        return (Add(),)


class Switch(Node):
    OPTIONAL: dict[str, Any] = {"on": ("BOOLEAN",), "a": ("*", {"lazy": True}), "b": ("*", {"lazy": True})}  # noqa: RUF012

    def check_lazy_status(self, on: bool, a: Any = None, b: Any = None) -> list[str]:
        return ["a" if on else "b"]

    def execute(self, on: bool, a: Any = None, b: Any = None) -> Any:
        return (a if on else b,)


class Show(Node):
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def execute(self, a: Any = None, b: Any = None) -> Any:
        return {"ui": {"seen": (a,)}}


class Raw(Show):
    OPTIONAL: dict[str, Any] = {"a": ("*", {"rawLink": True})}  # noqa: RUF012


CLASSES = {cls.__name__: cls for cls in (Add, Me, Items, Whole, Fail, Block, Later, Make, Switch, Show, Raw)}


def n(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def run(prompt: dict[str, Any], outputs: list[str], **options: Any) -> RunResult:
    Node.log.clear()
    return Executor(CLASSES, **options).run(prompt, outputs)


def seen(prompt: dict[str, Any], output: str = "9", **options: Any) -> Any:
    result = run(prompt, [output], **options)
    assert result.error is None
    return result.ui[output]["seen"]


def test_values_flow_and_only_what_is_needed_runs() -> None:
    prompt = {"1": n("Add", a=1, b=2), "2": n("Add", a=["1", 0], b=10), "3": n("Fail"), "9": n("Show", a=["2", 0])}
    result = run(prompt, ["9"])
    assert (result.ui, result.executed, result.error) == ({"9": {"seen": [13]}}, ["1", "2", "9"], None)
    assert set(result.seconds) == {"1", "2", "9"}


def test_lists_map_and_whole_lists_do_not() -> None:
    prompt = {
        "1": n("Items", a=3),
        "2": n("Items", a=2),
        "3": n("Add", a=["1", 0], b=["2", 0]),
        "4": n("Whole", a=["3", 0], b=7),
        "9": n("Show", a=["4", 0]),
    }
    assert seen(prompt) == [5]
    assert Node.log == [(0, 0), (1, 1), (2, 1), ([0, 2, 3], [7])]


def test_outputs_run_before_other_ready_nodes() -> None:
    prompt = {
        "1": n("Add", a=1),
        "2": n("Add", a=["1", 0]),
        "3": n("Add", a=["2", 0]),
        "8": n("Show", a=["3", 0]),
        "9": n("Show", a=["1", 0]),
    }
    assert run(prompt, ["8", "9"]).executed == ["1", "9", "2", "3", "8"]


def test_a_lazy_switch_runs_only_the_side_it_takes() -> None:
    prompt = {
        "1": n("Fail"),
        "2": n("Add", a=5),
        "3": n("Switch", on=False, a=["1", 0], b=["2", 0]),
        "9": n("Show", a=["3", 0]),
    }
    result = run(prompt, ["9"])
    assert result.ui == {"9": {"seen": [5]}}
    assert "1" not in result.executed
    prompt["3"]["inputs"]["on"] = True
    assert str(run(prompt, ["9"]).error) == "node 1 (Fail): ValueError: broken"


def test_asking_for_an_absent_lazy_input_is_an_error() -> None:
    result = run({"3": n("Switch", on=True), "9": n("Show", a=["3", 0])}, ["9"])
    assert str(result.error) == (
        "node 3 (Switch), input 'a': asked for as a lazy input, but it is not linked; expected a linked input."
    )


def test_blockers_stop_what_depends_on_them_and_tell_once() -> None:
    events: list[Event] = []
    prompt = {
        "1": n("Block", a="not today"),
        "2": n("Add", a=["1", 0]),
        "8": n("Show", a=["2", 0]),
        "9": n("Show", a=1),
    }
    result = run(prompt, ["8", "9"], on_event=events.append)
    assert result.error is None
    assert (sorted(result.blocked), result.ui) == (["2", "8"], {"9": {"seen": [1]}})
    assert sorted((e.node_id, e.message) for e in events if e.kind == "blocked") == [("2", "not today"), ("8", "")]


def test_coroutines_are_awaited() -> None:
    assert seen({"1": n("Later", a=1), "9": n("Show", a=["1", 0])}) == [2]


def test_hidden_undeclared_and_raw_inputs() -> None:
    assert seen({"1": n("Me"), "9": n("Show", a=["1", 0], undeclared=5)})[0][0] == "1"
    assert seen({"1": n("Add"), "9": n("Raw", a=["1", 0])}) == [["1", 0]]
    error = run({"1": n("Add"), "9": n("Show", other=["1", 0])}, ["9"]).error
    assert isinstance(error.__cause__, TypeError)  # type: ignore[union-attr]
    assert seen({"9": n("Show", a={"__value__": ["x", 0]})}) == [["x", 0]]


def test_an_output_that_a_node_did_not_give_is_none() -> None:
    assert seen({"1": n("Show", a=1), "9": n("Show", a=["1", 3])}) == [None]


def test_the_first_error_stops_the_run_and_names_the_node() -> None:
    prompt = {"1": n("Add", a=1), "2": n("Fail", a=["1", 0]), "8": n("Show", a=1), "9": n("Show", a=["2", 0])}
    result = run(prompt, ["8", "9"])
    assert str(result.error) == "node 2 (Fail): ValueError: broken"
    assert isinstance(result.error.__cause__, ValueError)  # type: ignore[union-attr]
    assert result.ui == {"8": {"seen": [1]}}
    assert (
        str(run({"9": n("Fail", a=LLMSegError("odd", place="input 'x'"))}, ["9"]).error)
        == "node 9 (Fail), input 'x': odd"
    )


def test_a_person_can_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        run({"9": n("Fail", a=KeyboardInterrupt())}, ["9"])


def test_a_second_run_executes_nothing_and_a_change_executes_what_depends_on_it() -> None:
    cache = ResultCache()
    executor = Executor(CLASSES, cache=cache)
    prompt = {"1": n("Add", a=1), "2": n("Add", a=["1", 0], b=2), "9": n("Show", a=["2", 0])}
    assert executor.run(prompt, ["9"]).executed == ["1", "2", "9"]
    again = executor.run(prompt, ["9"])
    assert (again.executed, again.cached, again.ui) == ([], ["9"], {"9": {"seen": [3]}})
    prompt["2"]["inputs"]["b"] = 5
    changed = executor.run(prompt, ["9"])
    assert (changed.executed, changed.cached, changed.ui) == (["2", "9"], ["1"], {"9": {"seen": [6]}})
    assert len(cache) == 3
    executor.run({"9": n("Show", a=0)}, ["9"])
    assert len(cache) == 1


def test_equal_nodes_run_once_with_a_cache_and_twice_without() -> None:
    prompt = {"1": n("Show", a=1), "2": n("Show", a=1), "3": n("Add", a=1), "4": n("Add", a=1)}
    prompt |= {"8": n("Show", a=["3", 0], b=["4", 0])}
    result = run(prompt, ["1", "2", "8"], cache=ResultCache())
    assert len(result.executed) == 3
    assert sorted(result.ui) == ["1", "2", "8"]
    assert len(run(prompt, ["1", "2", "8"]).executed) == 5


def test_a_failed_run_keeps_what_had_finished_in_the_cache() -> None:
    executor = Executor(CLASSES, cache=ResultCache())
    prompt = {"1": n("Add", a=1), "2": n("Fail", a=["1", 0]), "9": n("Show", a=["2", 0])}
    assert executor.run(prompt, ["9"]).executed == ["1"]
    assert executor.run(prompt, ["9"]).cached == ["1"]


def test_instances_live_as_long_as_the_executor() -> None:
    prompt = {"1": n("Me"), "9": n("Show", a=["1", 0])}
    executor = Executor(CLASSES)
    assert executor.run(prompt, ["9"]).ui == executor.run(prompt, ["9"]).ui


def test_events_tell_a_run_and_progress_belongs_to_the_running_node() -> None:
    class Working(Node):
        def execute(self) -> Any:
            executor.progress(1, 4)
            return (0,)

    events: list[Event] = []
    executor = Executor({**CLASSES, "Working": Working}, on_event=events.append)
    prompt = {"1": {**n("Working"), "_meta": {"title": "At work"}}, "9": n("Show", a=["1", 0])}
    executor.run(prompt, ["9"])
    told = [(e.kind, e.node_id, e.class_type, e.title, e.value, e.total) for e in events]
    assert told == [
        ("started", "1", "Working", "At work", 0, 0),
        ("progress", "1", "Working", "At work", 1, 4),
        ("finished", "1", "Working", "At work", 0, 0),
        ("started", "9", "Show", "Show", 0, 0),
        ("finished", "9", "Show", "Show", 0, 0),
    ]
    executor.progress(1, 2)  # nobody runs now
    assert len(events) == 5


@pytest.mark.parametrize("cached", [False, True])
def test_results_are_let_go_when_nobody_needs_them_unless_the_cache_holds_them(cached: bool) -> None:
    alive: list[bool] = []
    made: list[Any] = []

    class Remember(Node):
        def execute(self, a: Any) -> Any:
            made.append(weakref.ref(a))
            return (1,)

    class Last(Show):
        def execute(self, a: Any = None, b: Any = None) -> Any:
            gc.collect()
            alive.append(made[0]() is not None)
            return ()

    classes = {**CLASSES, "Last": Last, "Remember": Remember}
    prompt = {"1": n("Make"), "2": n("Remember", a=["1", 0]), "3": n("Add", a=["2", 0]), "9": n("Last", a=["3", 0])}
    result = Executor(classes, cache=ResultCache() if cached else None).run(prompt, ["9"])
    assert result.error is None
    assert alive == [cached]


def test_ten_thousand_nodes_in_a_chain() -> None:
    prompt = {"0": n("Add", a=1), **{str(i): n("Add", a=[str(i - 1), 0], b=1) for i in range(1, 10_000)}}
    prompt["x"] = n("Show", a=["9999", 0])
    assert seen(prompt, "x", cache=ResultCache()) == [10_000]


def test_v3_classes_are_refused() -> None:
    class Schema(Show):
        def define_schema(self) -> None: ...

    error = Executor({"Schema": Schema}).run({"9": n("Schema")}, ["9"]).error
    assert str(error) == "node 9 (Schema): a V3 node class, which is not supported; expected a V1 class."


def test_the_package_never_imports_torch() -> None:
    code = "import sys, llmseg.graph; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_nodes_run_in_inference_mode_if_torch_is_there() -> None:
    torch = pytest.importorskip("torch")

    class Ask(Show):
        def execute(self, a: Any = None, b: Any = None) -> Any:
            return {"ui": {"seen": (torch.is_inference_mode_enabled(),)}}

    assert Executor({"Ask": Ask}).run({"9": n("Ask")}, ["9"]).ui == {"9": {"seen": [True]}}


def test_asynchronous_nodes_wait_side_by_side_while_others_run() -> None:
    order: list[str] = []

    class Slow(Node):
        async def execute(self, a: Any = 0) -> Any:
            order.append(f"begin {a}")
            while len(order) < 4:  # both have begun, and the ordinary node has run
                await asyncio.sleep(0)
            order.append(f"end {a}")
            return (a,)

    class Quick(Node):
        def execute(self, a: Any = 0) -> Any:
            order.append("quick")
            asyncio.run(asyncio.sleep(0))  # no loop runs around an ordinary node
            return (a,)

    executor = Executor({**CLASSES, "Slow": Slow, "Quick": Quick})
    prompt = {
        "1": n("Slow", a=1),
        "2": n("Slow", a=2),
        "3": n("Quick", a=3),
        "4": n("Quick", a=4),
        "5": n("Add", a=["1", 0], b=["2", 0]),
        "6": n("Add", a=["3", 0], b=["4", 0]),
        "7": n("Add", a=["5", 0], b=["6", 0]),
        "9": n("Show", a=["7", 0]),
    }
    result = executor.run(prompt, ["9"])
    assert result.error is None
    assert result.ui["9"] == {"seen": [10]}
    assert sorted(order[:2]) == ["begin 1", "begin 2"]
    assert sorted(order[4:]) == ["end 1", "end 2"]


def test_an_asynchronous_failure_ends_the_run_and_cancels_what_waits() -> None:
    ended: list[str] = []

    class Break(Node):
        async def execute(self, a: Any = 0) -> Any:
            await asyncio.sleep(0)
            raise ValueError("late")

    class Wait(Node):
        async def execute(self, a: Any = 0) -> Any:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

    executor = Executor({**CLASSES, "Break": Break, "Wait": Wait})
    prompt = {"1": n("Wait"), "2": n("Break"), "8": n("Show", a=["1", 0]), "9": n("Show", a=["2", 0])}
    assert str(executor.run(prompt, ["8", "9"]).error) == "node 2 (Break): ValueError: late"
    assert ended == ["cancelled"]


def test_keep_going_runs_what_does_not_depend_on_the_failure() -> None:
    prompt = {
        "1": n("Fail"),
        "2": n("Add", a=["1", 0]),
        "3": n("Add", a=1, b=2),
        "7": n("Show", a=["2", 0]),
        "8": n("Fail"),
        "9": n("Show", a=["3", 0]),
        "10": n("Show", a=["8", 0]),
    }
    result = run(prompt, ["7", "9", "10"], keep_going=True)
    assert sorted(error.node_id for error in result.errors) == ["1", "8"]
    assert result.ui == {"9": {"seen": [3]}}
    assert len(run(prompt, ["7", "9", "10"]).errors) == 1


def test_a_store_is_asked_with_the_values_and_answers_instead_of_the_node() -> None:
    class Store:
        def __init__(self) -> None:
            self.kept: dict[str, Any] = {}

        def key(self, node: Any, arguments: Any) -> str | None:
            return repr(sorted(arguments.items())) if isinstance(node, Add) else None

        def get(self, key: str) -> Any:
            return self.kept.get(key)

        def put(self, key: str, result: Any) -> None:
            self.kept[key] = result

    store = Store()
    prompt = {"1": n("Add", a=1), "2": n("Add", a=["1", 0], b=5), "9": n("Show", a=["2", 0])}
    assert run(prompt, ["9"], store=store).ui["9"] == {"seen": [6]}
    assert list(store.kept) == ["[('a', [1])]", "[('a', [1]), ('b', [5])]"]
    again = run(prompt, ["9"], store=store)
    assert (again.executed, again.cached, again.ui["9"]) == (["9"], ["1", "2"], {"seen": [6]})


def test_the_hook_hears_of_every_call_before_it_is_made() -> None:
    calls: list[tuple[str, int]] = []
    prompt = {"1": n("Items", a=3), "2": n("Add", a=["1", 0]), "9": n("Show", a=["2", 0])}
    run(prompt, ["9"], before_call=lambda node_id, number: calls.append((node_id, number)))
    assert calls == [("1", 0), *(("2", call) for call in range(3)), *(("9", call) for call in range(3))]
