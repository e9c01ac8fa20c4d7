"""Keep what every node takes and gives, so that no later version breaks a saved workflow.

    python -m tools.schemas             add what is new to tests/data/node_schemas.json
    python -m tools.schemas --accept    also write what breaks saved workflows, of nodes that nobody has yet

Workflow files count on the names of inputs, on the places of widgets and outputs, and on what they may say. So a node
may get inputs and outputs after those it has, new ones optional, choices anywhere, and wider limits: nothing else.

Not here: what a node declares (`nodes`). Source: ComfyUI's `/object_info`, whose records `describe_node` reads too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmseg.run import load_nodes
from llmseg.store import write_atomic

SNAPSHOT = Path(__file__).parent.parent / "tests" / "data" / "node_schemas.json"
MACHINE = ("model", "profile")  # combos whose choices are files and settings of one machine
MARKER = "of this machine"

Schema = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Write the snapshot, unless that would hide a broken promise."""
    parser = argparse.ArgumentParser(prog="python -m tools.schemas", description=__doc__.splitlines()[0])
    parser.add_argument("--accept", action="store_true", help="write even what breaks saved workflows")
    accept = parser.parse_args(arguments).accept
    now = describe_pack()
    problems = find_breaks(read_snapshot(), now)
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    if problems and not accept:
        return 1
    write_atomic(SNAPSHOT, format_schemas(now).encode())
    return 0


def read_snapshot() -> dict[str, Schema]:
    """What was written last, by node; nothing if there is no file."""
    if not SNAPSHOT.is_file():
        return {}
    stored: dict[str, Schema] = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    return stored


def describe_pack() -> dict[str, Schema]:
    """The schema of every node of this pack as it is now."""
    return {name: describe_node(class_record(node)) for name, node in load_nodes().NODE_CLASS_MAPPINGS.items()}


def class_record(node: Any) -> dict[str, Any]:
    """What `/object_info` would tell of a V1 class, as far as it matters here."""
    types = list(node.RETURN_TYPES)
    return {
        "input": node.INPUT_TYPES(),
        "output": types,
        "output_name": list(getattr(node, "RETURN_NAMES", types)),
        "output_is_list": list(getattr(node, "OUTPUT_IS_LIST", [False] * len(types))),
        "output_node": bool(getattr(node, "OUTPUT_NODE", False)),
    }


def describe_node(record: Mapping[str, Any]) -> Schema:
    """The part of a record of `/object_info` that saved workflows count on."""
    inputs: dict[str, Any] = {}
    for group in ("required", "optional"):
        for name, (kind, options) in record["input"].get(group, {}).items():
            inputs[name] = {"group": group, **_describe_input(name, kind, options)}
    outputs = zip(record["output_name"], record["output"], record["output_is_list"], strict=True)
    return {
        "inputs": inputs,
        "outputs": [{"name": name, "type": kind, "list": is_list} for name, kind, is_list in outputs],
        "output_node": record["output_node"],
    }


def find_breaks(stored: Mapping[str, Schema], now: Mapping[str, Schema]) -> list[str]:
    """One line for everything that saved workflows counted on and that is no longer so."""
    gone = [f"{name}: is gone" for name in stored if name not in now]
    return gone + [
        f"{name}: {problem}" for name in stored if name in now for problem in _node_breaks(stored[name], now[name])
    ]


def format_schemas(schemas: Mapping[str, Schema]) -> str:
    """JSON with an input or an output a line, so that a change is a changed line."""
    lines = ["{"]
    for number, (name, schema) in enumerate(schemas.items()):
        inputs = [f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in schema["inputs"].items()]
        outputs = [f"   {json.dumps(output)}" for output in schema["outputs"]]
        lines += [f" {json.dumps(name)}: {{", '  "inputs": {', ",\n".join(inputs), "  },"]
        lines += ['  "outputs": [', *([",\n".join(outputs)] if outputs else []), "  ],"]
        lines += [f'  "output_node": {json.dumps(schema["output_node"])}', " }," if number < len(schemas) - 1 else " }"]
    return "\n".join([*lines, "}", ""])


def _describe_input(name: str, kind: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(kind, list):
        choices = MARKER if name in MACHINE else [str(choice) for choice in kind]
        return {"kind": "COMBO", "default": options.get("default"), "choices": choices}
    return {"kind": kind, **{key: options[key] for key in ("default", "min", "max") if key in options}}


def _node_breaks(stored: Schema, now: Schema) -> list[str]:
    problems = []
    names, before = list(now["inputs"]), list(stored["inputs"])
    if names[: len(before)] != before:
        problems.append(f"inputs begin with {names[: len(before)]}; expected {before}")
    for name in names:
        if name not in before and now["inputs"][name]["group"] != "optional":
            problems.append(f"input {name!r} is new and required; expected it to be optional")
    for name in before:
        if name in now["inputs"]:
            problems += [f"input {name!r} {it}" for it in _input_breaks(stored["inputs"][name], now["inputs"][name])]
    outputs = now["outputs"][: len(stored["outputs"])]
    if outputs != stored["outputs"]:
        problems.append(f"outputs begin with {outputs}; expected {stored['outputs']}")
    if stored["output_node"] and not now["output_node"]:
        problems.append("is no output node; expected one, or workflows that end in it do nothing")
    return problems


def _input_breaks(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a value that was fine, or was left out, may no longer mean."""
    problems = []
    kinds, before = (set(each["kind"].split(",")) for each in (now, stored))
    if not before <= kinds:
        problems.append(f"is {now['kind']}; expected {stored['kind']}")
    if stored["group"] == "optional" and now["group"] != "optional":
        problems.append("is required; expected it to stay optional")
    if now.get("default") != stored.get("default"):
        problems.append(f"has the default {now.get('default')!r}; expected {stored.get('default')!r}")
    if isinstance(stored.get("choices"), list):
        lost = [choice for choice in stored["choices"] if choice not in now.get("choices", [])]
        problems += [f"no longer offers {choice!r}" for choice in lost]
    for limit, sign in (("min", 1), ("max", -1)):
        if limit in stored and sign * now.get(limit, sign * float("-inf")) > sign * stored[limit]:
            problems.append(f"has the {limit} {now[limit]}; expected {stored[limit]} or wider")
    return problems


if __name__ == "__main__":
    sys.exit(main())
