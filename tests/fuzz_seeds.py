"""Small sound workflows in both forms: what `test_graph_fuzz` starts from.

Not here: the cheap nodes in them (`fuzz_nodes`), changes (`mutations`).
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmseg.graph import NodeDefinition
from llmseg.graph.inputs import AUTOGROW, MATCH, InputSpec

__all__ = ["drawing_seeds", "group_seeds", "picture_of", "prompt_seeds", "read_records"]

TESTS = Path(__file__).resolve().parent
WORKFLOWS = TESTS.parent / "workflows"
UNUSED = ("pos", "size", "flags", "order", "color", "bgcolor", "localized_name", "bounding", "ds", "groups", "revision")
UNUSED_KEYS = frozenset(UNUSED)  # nobody reads them, so that changing them would test nothing
Seed = dict[str, Any]


def read_records() -> dict[str, Any]:
    """What a server said about the classes in the workflows that are kept here."""
    records: dict[str, Any] = {}
    for folder in ("group_node_cases", "editor_cases"):
        path = TESTS / folder / "object_info.json"
        if path.is_file():
            records |= json.loads(path.read_text(encoding="utf-8"))
    return records


def n(class_type: str, **inputs: Any) -> Seed:
    return {"class_type": class_type, "inputs": inputs}


def prompt_seeds(definitions: Mapping[str, NodeDefinition], core: Mapping[str, type]) -> list[Seed]:
    """API prompts: our workflows, one for each core node, and the cheap nodes in every combination that matters."""
    graph = {
        "in": n("FuzzCount", a=2, b=7),
        "seen": n("FuzzShow", a=["in", 0]),
        "list": n("FuzzList", a={"__value__": [1, 2]}),
    }
    expanding = n("FuzzExpand", a=graph, b={"__value__": ["in", 0]})
    show, pair = n("FuzzShow", a=["1", 0]), {"__value__": ["a", "b"]}
    seeds: list[Seed] = [
        {"1": n("FuzzCount", a=5, b=1), "9": show},
        {"1": expanding, "9": show},
        {"1": expanding, "2": n("FuzzWhole", a=["1", 0], b=["3", 0]), "3": n("FuzzLater", a=1), "9": n("FuzzShow", a=["2", 0])},
        {"1": n("FuzzList", a={"__value__": [0, 1, 2]}), "2": n("FuzzCount", a=["1", 0]), "9": n("FuzzShow", a=["2", 0])},
        {"1": n("FuzzLazy", names=pair, a=["2", 0], b=["3", 0]), "2": n("FuzzLater", a=1), "3": n("FuzzChanged", a=2, b=True), "9": show},
        {"1": n("FuzzBlock", a="stop"), "2": n("FuzzList", a={"__value__": [["1", 0]]}), "9": show, "8": n("FuzzShow", a=["2", 0])},
        {"1": n("FuzzReturn", a={"ui": {"text": ["x"]}, "result": [1, []], "expand": {"x": n("FuzzShow", a=1)}}), "9": show},
        {"1": n("FuzzReturn", a={"ui": {"images": [{"filename": "a", "subfolder": "", "type": "output"}]}, "result": [1, []]}), "9": show},
        {"1": n("FuzzLater", a={"__value__": ["x", 0]}, b={"x": n("FuzzLater", a=3)}), "9": show},
        {"1": n("PrimitiveInt", value=3), "9": n("FuzzRows", **{"kind": "inner", "kind.sort": "deep", "kind.sort.n": 4, "xs.x0": ["1", 0],
                                                   "sides.left": 1, "rows.0.name": "a", "rows.1.name": "b", "rows.1.n": 2})},
        {"1": n("EmptyImage", width=8, height=6, batch_size=2, color=255), "2": n("ImageScale", image=["1", 0], upscale_method="area",
         width=4, height=0, crop="center"), "3": n("SaveImage", images=["2", 0], filename_prefix="sub/%width%_x"),
         "4": n("GetImageSize", image=["2", 0]), "5": n("PreviewAny", source=["4", 1])},
        {"1": n("LoadImage", image="example.png"), "2": n("JoinImageWithAlpha", image=["1", 0], alpha=["1", 1]),
         "3": n("SaveImage", images=["2", 0], filename_prefix="x"), "4": n("MaskPreview", mask=["1", 1])},
        {"1": n("LLMSegClassNames", text="dog, sky", preset="custom"), "2": n("LLMSegExpand", class_names=["1", 0], library="auto",
         subclasses="dog: poodle", lock_file=""), "3": n("LLMSegSaveExpansion", expansion=["2", 0], filename="locks/x"),
         "4": n("PreviewAny", source=["2", 1])},
    ]  # fmt: skip
    seeds += [one_node(definitions[name]) for name in core]
    return seeds + [read_json(path) for path in sorted((WORKFLOWS / "api").glob("*.json"))]


def one_node(definition: NodeDefinition) -> Seed:
    """A prompt around one core node, with plain values, all of whose results are shown."""
    prompt = {
        "1": n("EmptyImage", width=8, height=6, batch_size=1, color=99),
        "2": n("SolidMask", value=1.0, width=8, height=6),
    }
    inputs: dict[str, Any] = {}
    for _ in range(3):  # children of dynamic inputs appear with the values of their parents
        for spec in definition.shown_inputs(inputs):
            if spec.type == AUTOGROW:
                inputs.update({member.name: ["1", 0] for member in spec.members() if member.required})
            elif spec.name not in inputs:
                inputs[spec.name] = plain_value(spec)
    prompt["5"] = n(definition.class_type, **inputs)
    for number, kind in enumerate(definition.output_types):
        shown = (
            n("SaveImage", images=["5", number], filename_prefix="x")
            if kind == "IMAGE"
            else n("PreviewAny", source=["5", number])
        )
        prompt[str(10 + number)] = shown
    return prompt


def plain_value(spec: InputSpec) -> Any:
    if spec.type == "MASK":
        return ["2", 0]
    if spec.type in ("IMAGE", "*", MATCH):
        return ["1", 0]
    if spec.name == "image":
        return "example.png"
    if spec.type == "INT":
        return min(spec.default, 8)
    return spec.default or {"STRING": "some text"}.get(spec.type, 0)


def drawing_seeds(definitions: Mapping[str, NodeDefinition], prompts: list[Seed]) -> list[Seed]:
    """UI workflows: the prompts as drawings, plain, with virtual nodes between, and as subgraphs."""
    drawings = [draw(prompt, definitions) for prompt in prompts]
    made = [*map(detoured, drawings[:15]), *map(placed, drawings[:15]), *map(nested, drawings[:12])]
    cases = (TESTS / "editor_cases").glob("*.json")
    kept = [case["workflow"] for case in map(read_json, sorted(cases)) if "workflow" in case]
    real = [read_json(path) for path in sorted(WORKFLOWS.glob("*.json"))]
    return [*drawings, *made, *made, *map(without_unused, [*real, *kept]), *exposed()]


def group_seeds() -> list[Seed]:
    """UI workflows with the group nodes of old."""
    cases = map(read_json, sorted((TESTS / "group_node_cases").glob("*.json")))
    return [without_unused(case["workflow"]) for case in cases if "workflow" in case]


def picture_of(number: int, pair: Mapping[str, Any]) -> bytes:
    """A small picture that carries a prompt and a drawing, in one of three formats."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    kind = ("PNG", "WEBP", "JPEG")[number % 3]
    buffer, texts, tags = io.BytesIO(), PngInfo(), Image.Exif()
    for tag, (key, value) in zip((0x0110, 0x010F), pair.items(), strict=True):
        texts.add_text(key, json.dumps(value), zip=bool(number & 1))
        tags[tag] = f"{key}:{json.dumps(value)}"
    options: dict[str, Any] = {"pnginfo": texts} if kind == "PNG" else {"exif": tags}
    Image.new("RGB", (3, 2), "red").save(buffer, format=kind, **options)
    return buffer.getvalue()


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def without_unused(value: Any) -> Any:
    if isinstance(value, list):
        return [without_unused(item) for item in value]
    if isinstance(value, dict):
        return {key: without_unused(item) for key, item in value.items() if key not in UNUSED_KEYS}
    return value


def draw(prompt: Seed, definitions: Mapping[str, NodeDefinition]) -> Seed:
    """The drawing of a prompt, with the widget values of every other node by name."""
    nodes, links = [], []
    for number, (key, node) in enumerate(prompt.items()):
        definition, inputs = definitions[node["class_type"]], node["inputs"]
        specs = definition.shown_inputs(inputs)
        rows = []
        for name, value in inputs.items():
            if isinstance(value, list):
                links.append([len(links) + 1, int(value[0]), value[1], int(key), len(rows), "*"])
                rows.append({"name": name, "type": "*", "link": len(links)})
        values = {spec.name: inputs.get(spec.name, spec.default) for spec in specs if spec.owns_widget}
        listed = [value for spec in specs if spec.owns_widget for value in widget_entries(spec, values[spec.name])]
        outputs = [{"name": str(kind), "type": str(kind), "links": []} for kind in definition.output_types]
        record = {
            "id": int(key),
            "type": node["class_type"],
            "mode": 0,
            "inputs": rows,
            "outputs": outputs,
            "properties": {},
        }
        nodes.append({**record, "widgets_values": listed if number % 2 == 0 else values})
    for link, origin, slot, *_ in links:
        source = next(node for node in nodes if node["id"] == origin)
        source["outputs"][slot]["links"].append(link)
    return {"nodes": nodes, "links": links, "version": 0.4}


def widget_entries(spec: InputSpec, value: Any) -> Iterator[Any]:
    yield None if isinstance(value, list) else value
    yield from ["fixed"] * (len(spec.slots()) - 1)


def detoured(drawing: Seed) -> Seed:
    """Every link leads through a Reroute, a Set and a Get node in turn, or a bypassed node; one primitive feeds a widget."""
    drawing = copy.deepcopy(drawing)
    for number, row in enumerate(list(drawing["links"])):
        link, origin, slot, target, _, kind = row
        middle, first = 1000 + number, 2000 + 2 * number
        ends = {
            "inputs": [{"name": "", "type": kind, "link": first}],
            "outputs": [{"name": "", "type": kind, "links": [link]}],
        }
        if number % 3 == 1:
            drawing["nodes"] += [{"id": middle, "type": "SetNode", "inputs": ends["inputs"], "widgets_values": [f"v{number}"]},
                                 {"id": -middle, "type": "GetNode", "outputs": ends["outputs"], "widgets_values": [f"v{number}"]}]  # fmt: skip
        else:
            name, mode = ("Reroute", 0) if number % 3 == 0 else ("FuzzList", 4)
            drawing["nodes"].append({"id": middle, "type": name, "mode": mode, **ends})
        row[1:3] = [-middle if number % 3 == 1 else middle, 0]
        drawing["links"].append([first, origin, slot, middle, 0, kind])
        assert target
    for node in drawing["nodes"]:
        values = node.get("widgets_values")
        if isinstance(values, dict) and values:
            name = next(iter(values))
            drawing["nodes"].append({"id": 3000, "type": "PrimitiveNode", "outputs": [{"type": "*", "links": [3001]}], "widgets_values": [values[name], "fixed"]})  # fmt: skip
            drawing["links"].append([3001, 3000, 0, node["id"], len(node["inputs"]), "*"])
            node["inputs"].append({"name": name, "type": "*", "link": 3001, "widget": {"name": name}})
            break
    return drawing


def placed(drawing: Seed) -> Seed:
    """All of it in a subgraph that is placed twice, once bypassed; a widget of its first node shows outside."""
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    links = [dict(zip(names, row, strict=True)) for row in drawing["links"]]
    first = drawing["nodes"][0]
    values = first["widgets_values"]
    name, value = next(iter(values.items())) if isinstance(values, dict) and values else ("width", 4)
    inner = {"id": "sub", "name": "Sub", "nodes": drawing["nodes"], "links": links, "inputs": [], "outputs": []}
    instance = {"type": "sub", "inputs": [], "outputs": [], "properties": {"proxyWidgets": [[str(first["id"]), name]]}}
    nodes = [
        {"id": 12, "mode": 0, "widgets_values": [value], **instance},
        {"id": 13, "mode": 4, "widgets_values": [], **instance},
    ]
    return {"nodes": nodes, "links": [], "definitions": {"subgraphs": [copy.deepcopy(inner)]}}


def nested(drawing: Seed) -> Seed:
    """A subgraph inside two of each next outer one: eight places in all."""
    seed = placed(drawing)
    for outer, inner in (("two", "sub"), ("one", "two")):
        nodes = [{"id": number, "type": inner, "inputs": [], "outputs": []} for number in (1, 2)]
        seed["definitions"]["subgraphs"].append(
            {"id": outer, "name": outer, "nodes": nodes, "links": [], "inputs": [], "outputs": []}
        )
    seed["nodes"] = [{"id": number, "type": "one", "mode": 0, "inputs": [], "outputs": []} for number in (1, 2)]
    return seed


def exposed() -> Iterator[Seed]:
    """A subgraph with a picture and a widget as inputs and a picture as output, also inside another one and bypassed."""
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")

    def sub(key: str, kind: str, widget: str) -> Seed:
        rows = [(1, -10, 0, 3, 0, "IMAGE"), (2, -10, 1, 3, 1, "FLOAT"), (3, 3, 0, -20, 0, "IMAGE")]
        inputs = [
            {"name": "image", "type": "IMAGE", "link": 1},
            {"name": widget, "type": "FLOAT", "link": 2, "widget": {"name": widget}},
        ]
        node = {
            "id": 3,
            "type": kind,
            "inputs": inputs,
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [3]}],
            "widgets_values": ["area", 2.0],
        }
        ports = [
            {"name": "image", "type": "IMAGE", "linkIds": [1]},
            {"name": "scale_by", "type": "FLOAT", "linkIds": [2]},
        ]
        out = [{"name": "IMAGE", "type": "IMAGE", "linkIds": [3]}]
        links = [dict(zip(names, row, strict=True)) for row in rows]
        return {"id": key, "name": key, "nodes": [node], "links": links, "inputs": ports, "outputs": out}  # fmt: skip

    for kind, mode in (("inner", 0), ("outer", 0), ("outer", 4), ("outer", 2)):
        image = {
            "id": 1,
            "type": "EmptyImage",
            "mode": 0,
            "inputs": [],
            "outputs": [{"type": "IMAGE", "links": [1]}],
            "widgets_values": [8, 6, 1, 0],
        }
        instance = {
            "id": 12, "type": kind, "mode": mode, "inputs": [{"name": "image", "type": "IMAGE", "link": 1},
            {"name": "scale_by", "type": "FLOAT", "link": None, "widget": {"name": "scale_by"}}],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}], "widgets_values": [0.5],
            "properties": {"proxyWidgets": [["-1", "scale_by"]]},
        }  # fmt: skip
        last = {
            "id": 9,
            "type": "SaveImage",
            "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 2}],
            "widgets_values": ["x_%date:yyyy%"],
        }
        links = [[1, 1, 0, 12, 0, "IMAGE"], [2, 12, 0, 9, 0, "IMAGE"]]
        subgraphs = [sub("inner", "ImageScaleBy", "scale_by"), sub("outer", "inner", "scale_by")]
        yield {"nodes": [image, instance, last], "links": links, "definitions": {"subgraphs": subgraphs}}
