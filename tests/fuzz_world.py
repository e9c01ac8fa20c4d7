"""The way of an example of `test_graph_fuzz` through the graph package, and the folders and nodes that it meets.

Not here: mutations (`mutations`), what is started from (`fuzz_seeds`), how many examples and what is asserted of all.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from file_guard import FileGuard, empty, snapshot
from fuzz_nodes import FUZZ_NODES, stand_in
from fuzz_seeds import drawing_seeds, group_seeds, picture_of, prompt_seeds, read_records
from mutations import ODD_VALUES, OUTSIDE, Mutation, mutate, mutate_bytes

from llmseg.batch import BatchImage, find_image_slot
from llmseg.errors import InputError, LLMSegError, NodeError
from llmseg.graph import (
    Executor,
    NodeDefinition,
    ResultCache,
    RunResult,
    Validation,
    Workflow,
    apply_overrides,
    define_nodes,
    find_node,
    parse_workflow,
    read_object_info,
    read_stream,
    to_prompt,
    validate_prompt,
)
from llmseg.graph.dynamic import live_inputs
from llmseg.graph.files.workflow import Prefer
from llmseg.graph.inputs import MATCH
from llmseg.graph.shapes import is_link
from llmseg.reporting import JsonReporter, Reporter, TextReporter

__all__ = ["MOST_EXPANDED", "MOST_NODES", "Example", "World"]

HANGS = 60  # seconds for one example; they take some milliseconds
LONGEST_MESSAGE = 200_000  # characters; the lines of an error are bounded, and so is each
MOST_NODES = 2000
MOST_EXPANDED = 300
SLOW = ("LLMSegLoadEncoder", "LLMSegEncodeImage", "LLMSegEncodeText", "LLMSegSegment")
TREE = frozenset(["input", "outside", "output", "temp", "data", "last_example.json", "hang.txt"])


NOW = datetime(2026, 1, 2, 3, 4, 5)
PREFERENCES: tuple[Prefer, ...] = ("", "", "", "", "", "", "prompt", "workflow")


class Example(NamedTuple):
    """What hypothesis chose; numbers are taken modulo what there is."""

    seed: int
    mutations: Sequence[Mutation]
    bytes_changes: Sequence[tuple[str, int, int, int]]
    overrides: Sequence[tuple[int, int, int]]
    options: int


class World:
    """The nodes, the folders and what happened in them."""

    def __init__(self, root: Path, nodes: Any) -> None:
        self.root = root
        self.nodes = nodes
        self.roots = {kind: root / kind for kind in ("input", "output", "temp")}
        self.core = nodes.core.CORE_NODES
        records = read_records()
        own = {name: left_out(node) if name in SLOW else node for name, node in nodes.NODE_CLASS_MAPPINGS.items()}
        foreign = {name: stand_in(record) for name, record in records.items()}
        self.classes: dict[str, type] = {**foreign, **own, **self.core, **FUZZ_NODES}
        self.installed = define_nodes({**own, **self.core, **FUZZ_NODES})
        self.definitions = {**read_definitions(records), **self.installed}
        self._plant_seeds(records)
        writable = [self.roots["output"], self.roots["temp"], root / "data"]
        matcher = Path(nodes.__file__).parent / "core" / "matching.py"  # searches texts where it can be stopped
        self.guard = FileGuard(writable, root / "outside", matcher)
        self.ends: Counter[str] = Counter()
        self.rough: Counter[str] = Counter()
        self.told = ""  # what the last example wrote to standard error
        self.at = ""
        self.hangs = (root / "hang.txt").open("w")
        (root / "last_example.json").touch()
        self.before = self.standing()

    def _plant_seeds(self, records: Mapping[str, Any]) -> None:
        prompts = prompt_seeds(self.definitions, self.core)
        numbered = [prompt for prompt in prompts if all(map(str.isdecimal, prompt))]
        drawings, groups = drawing_seeds(self.definitions, numbered), group_seeds()
        pairs = [{"prompt": one, "workflow": two} for one, two in zip(numbered, drawings, strict=False)]
        # Workflows of classes that are not installed, and the records of these.
        self.partners: list[bytes] = []
        needed: list[Any] = []
        for drawing in [*groups, *drawings]:
            text = json.dumps(drawing)
            foreign = {name: record for name, record in records.items() if f'"{name}"' in text}
            if foreign.keys() - self.installed.keys():
                often = 4 if "COMFY_" in json.dumps(foreign) else 1  # dynamic inputs say most
                needed += [foreign] * often
                self.partners += [text.encode()] * often
        every = {"prompt": prompts, "drawing": drawings, "group": groups, "records": needed}
        self.seeds = {form: [json.dumps(seed).encode() for seed in seeds] for form, seeds in every.items()}
        texts = [json.dumps(seed).encode() for seed in [*prompts, *drawings, *groups, *pairs]]
        self.seeds["bytes"] = [*texts, *list(map(picture_of, range(len(texts) // 2), pairs * 100))]

    def standing(self) -> dict[str, bytes]:
        """Everything that no run may change."""
        return {**snapshot(self.roots["input"]), **snapshot(self.root / "outside")}

    # -- one example ------------------------------------------------------------------------------

    def check(self, form: str, example: Example) -> str:
        """Take one example all the way; returns where it ended."""
        return self.follow(form, self.content(form, example), example)

    def follow(self, form: str, content: bytes, example: Example) -> str:
        """The same for a file that is at hand."""
        (self.root / "last_example.json").write_bytes(content)  # what to look at should the process be killed
        faulthandler.dump_traceback_later(HANGS, exit=True, file=self.hangs)
        try:
            end = self.go(form, content, example)
        finally:
            faulthandler.cancel_dump_traceback_later()
        self.ends[f"{form}: {end}"] += 1
        for kind in ("output", "temp"):
            empty(self.roots[kind])
        offences, self.guard.offences = self.guard.offences, []
        assert not offences, offences
        assert {entry.name for entry in os.scandir(self.root)} == TREE, "something new beside the folders"
        return end

    def content(self, form: str, example: Example) -> bytes:
        """The file of an example."""
        seeds = self.seeds[form]
        content = seeds[example.seed % len(seeds)]
        if content.startswith(b"{"):
            donor = self.seeds["drawing" if form == "bytes" else form]
            other = json.loads(donor[example.options % len(donor)])
            outside = json.dumps(str(self.root / "outside"))[1:-1]
            mutated = mutate(json.loads(content), example.mutations, other)
            content = json.dumps(mutated).replace(OUTSIDE, outside).encode("ascii")
        for change in example.bytes_changes:
            content = mutate_bytes(content, *change)
        return content

    def go(self, form: str, content: bytes, example: Example) -> str:
        """Where an example ends, and what it tells."""
        screens = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace") for _ in range(2)]
        self.at = "unreadable"
        with redirect_stdout(screens[0]), redirect_stderr(screens[1]), self.guard.on():
            reporter = JsonReporter() if example.options & 1 else TextReporter()
            try:
                end = self.stages(form, content, example, reporter)
            except LLMSegError as error:
                assert 0 < len(str(error)) < LONGEST_MESSAGE  # noqa: PT017
                reporter.failure(str(error))
                end = self.at
            screens[1].flush()
        self.told = screens[1].buffer.getvalue().decode()  # type: ignore[attr-defined]
        return end

    def stages(self, form: str, content: bytes, example: Example, reporter: Reporter) -> str:
        """The way of the command line."""
        options, definitions = example.options, self.definitions
        if form == "records":
            definitions = {**read_definitions(read_object_info(self.root / "last_example.json")), **self.installed}
            content = self.partners[example.seed % len(self.partners)]
        workflow = read(content, PREFERENCES[options >> 1 & 7])
        self.at = "unconvertible"
        prompt = workflow.prompt
        if prompt is None:
            assert workflow.editor is not None
            with unchanged(workflow.editor):
                strict = bool(options & 16)
                conversion = to_prompt(workflow.editor, definitions, now=NOW, pick=take_last, strict=strict)
            prompt = conversion.prompt
            assert len(prompt) <= MOST_NODES
            for warning in conversion.warnings:
                reporter.warning(warning)
        print(json.dumps(prompt, indent=2))
        prompt = self.override(prompt, definitions, example, reporter)
        self.at = "no target"
        targets = [find_node(prompt, target(prompt, options), "--only")] if options & 768 == 768 else None
        with unchanged(prompt):
            validation = validate_prompt(prompt, self.classes, targets=targets, strict=options & 48 == 48)
        reporter.problems(validation.problems, "x.json")
        for warning in validation.warnings:
            reporter.warning(warning)
        return self.run(workflow.editor, validation, options, reporter) if validation.outputs else "invalid"

    def override(
        self, prompt: dict[str, Any], definitions: dict[str, NodeDefinition], example: Example, reporter: Reporter
    ) -> dict[str, Any]:
        """`prompt` with assignments as a person might type them; what is refused is left out."""
        for choice in example.overrides:
            try:
                with unchanged(prompt):
                    prompt = apply_overrides(prompt, definitions, [assignment(prompt, choice)])
                self.ends["override taken"] += 1
            except InputError as error:
                reporter.failure(str(error))
                self.ends["override refused"] += 1
        if example.options & 192 == 192:
            try:
                slot = find_image_slot(prompt, definitions, "")
                prompt = slot.fill(
                    prompt, BatchImage(self.roots["input"].resolve() / "example.png", Path()), self.roots["input"]
                )
            except InputError as error:
                reporter.failure(str(error))
        return prompt

    def run(self, editor: Any, validation: Validation, options: int, reporter: Reporter) -> str:
        cache = ResultCache() if options & 1024 else None
        executor = Executor(self.classes, cache=cache, on_event=reporter.event, keep_going=bool(options & 2048))
        pnginfo = {"workflow": editor} if editor is not None else None
        for _ in range(2 if cache is not None else 1):
            result = executor.run(validation.prompt, validation.outputs, extra_pnginfo=pnginfo)
            self.judge(result, validation)
            reporter.finished(result, self.roots)
            for error in result.errors:
                reporter.failure(str(error))
        return "failed" if result.errors else "done"

    def is_plain(self, prompt: Mapping[str, Any], node_id: str) -> bool:
        """Whether it and all that it needs are core nodes that get only what they declare."""
        pending, seen = [node_id], {node_id}
        while pending:
            node = prompt[pending.pop()]
            if node["class_type"] not in self.core:
                return False
            definition = self.definitions[node["class_type"]]
            specs = {spec.name: spec for spec in live_inputs(definition, node["inputs"])}
            for name, value in node["inputs"].items():
                if name not in specs or is_link(value) != (not specs[name].owns_widget):
                    return False
                if is_link(value) and value[0] not in seen:
                    pending.append(value[0])
                    seen.add(value[0])
            if not {"*", MATCH}.isdisjoint(definition.output_types):
                return False
        return True

    def judge(self, result: RunResult, validation: Validation) -> None:
        assert len(result.executed) <= len(validation.prompt) + MOST_EXPANDED
        for error in result.errors:
            assert isinstance(error, NodeError)
            cause = error.__cause__
            if self.is_plain(validation.prompt, error.node_id) and not isinstance(cause, LLMSegError):
                self.rough[f"{error.class_type}: {type(cause).__name__}: {str(cause)[:150]}"] += 1


def read_definitions(records: Mapping[str, Any]) -> dict[str, NodeDefinition]:
    return {name: NodeDefinition.from_object_info(name, record) for name, record in records.items()}


def read(content: bytes, prefer: Prefer) -> Workflow:
    """As text where it is one, as a stream otherwise and now and then."""
    try:
        text = content.decode("utf-8") if len(content) % 2 else ""
    except UnicodeDecodeError:
        text = ""
    return parse_workflow(text, "x.json", prefer) if text else read_stream(io.BytesIO(content), "x.json", prefer)


def take_last(count: int) -> int:
    return count - 1


def typed(number: int) -> str:
    """An odd value as it would stand on a command line; never the name of a file to read."""
    value = ODD_VALUES[number % len(ODD_VALUES)]
    return (value if isinstance(value, str) else json.dumps(value)).lstrip("@")


def target(prompt: Mapping[str, Any], number: int) -> str:
    """Mostly the last node, which tends to be an output."""
    return typed(number) if number % 8 == 0 or not prompt else list(prompt)[-1]


def assignment(prompt: Mapping[str, Any], choice: tuple[int, int, int]) -> str:
    """NODE.INPUT=VALUE, most of the time for an input that there is."""
    where, name, odd = choice
    if not prompt or where % 8 == 0:
        return typed(name) + "." * (where % 3) + typed(where) + "=" * (where % 5) + typed(odd)
    key = list(prompt)[where % len(prompt)]
    names = [*prompt[key].get("inputs", {}), typed(odd)]
    node = prompt[key]["class_type"] if where % 5 == 0 else key
    return f"{node}.{names[name % len(names)]}={typed(odd)}"


@contextmanager
def unchanged(document: Any) -> Iterator[None]:
    """What is given to read must not be written to."""
    before = json.dumps(document)
    yield
    assert json.dumps(document) == before


def left_out(node: type) -> type:
    """`node` without its work, which takes too long for thousands of runs."""

    def execute(self: Any, **_: Any) -> Any:
        raise InputError("too slow here; expected another node.")

    return type(node.__name__, (node,), {"execute": execute})
