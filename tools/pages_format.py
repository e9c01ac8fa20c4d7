"""Records of nodes as the Markdown of help pages and as the JSON of locales.

Not here: reading nodes (`pages_nodes`), files (`pages`).
Sources: the message format of vue-i18n, which ComfyUI's page reads locales with; its node help resolves pictures
against docs/, wherever the page lies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .pages_nodes import Input, Node
from .pages_words import Words

FENCE = "```"
ITEM = "- {name} ({note}): {text}"
PICTURE = re.compile(r"!\[(?P<caption>[^\]]*)\]\((?P<file>[^)]+)\)")


def format_page(node: Node, own: str, pack: Iterable[Node], marker: str, words: Words) -> str:
    """The page of a node.

    Args:
        own: its hand-written part, in English.
        pack: all nodes, for those that it is linked with.
        marker: the line between the hand-written part and what is known of inputs and outputs.
    """
    blocks = [_lines(node.lines, words, " "), *_own_blocks(own, words), marker, *_inputs(node, words)]
    blocks += [*_outputs(node, words), *_links(node, pack, words)]
    return "\n\n".join(blocks) + "\n"


def split_blocks(own: str) -> Iterator[str]:
    """Paragraphs and whole examples; a line of a paragraph ends where it does only for the eye."""
    for number, part in enumerate(own.split(FENCE)):
        if number % 2:
            yield f"{FENCE}{part}{FENCE}"
        else:
            yield from (" ".join(block.split()) for block in part.split("\n\n") if block.strip())


def definition(node: Node, words: Words) -> dict[str, Any]:
    """The entry of nodeDefs.json; outputs are keyed by their place."""
    inputs = {}
    for each in node.inputs:
        tooltip = [_lines(each.lines, words), *_choice_lines(each, words)]
        inputs[_key(each.name)] = {"name": words.word("names", each.name), "tooltip": "\n".join(tooltip)}
    outputs = {
        str(place): {"name": words.word("names", each.name), "tooltip": _lines(each.lines, words)}
        for place, each in enumerate(node.outputs)
    }
    found = {"display_name": words.word("titles", node.title), "description": _lines(node.lines, words)}
    return _escaped({**found, "inputs": inputs, **({"outputs": outputs} if outputs else {})})


def categories(pack: Iterable[Node], words: Words) -> dict[str, str]:
    """Every part of a menu path by itself, as the page looks them up."""
    return _escaped({part: words.word("categories", part) for node in pack for part in node.category})


def format_json(value: Any) -> str:
    """JSON that people can read changes in."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _own_blocks(own: str, words: Words) -> Iterator[str]:
    if words.language == "en":  # lines stay as they were broken
        yield own
        return
    for block in split_blocks(own):
        if block.startswith(FENCE):
            yield "\n".join(words.example(line) for line in block.split("\n"))
        elif picture := PICTURE.fullmatch(block):
            yield f"![{words.word('pages', picture['caption'])}]({picture['file']})"
        else:
            yield words.word("pages", block)


def _inputs(node: Node, words: Words) -> Iterator[str]:
    yield f"## {words.word('headings', 'Inputs')}"
    items = []
    for each in node.inputs:
        notes = [_kinds(each.kind), each.limits]
        notes += [f"{words.word('headings', 'default')} {_code(each.default)}"] if each.default else []
        notes += [words.word("headings", word) for word in ("optional", "advanced") if getattr(each, word)]
        items.append(_item(_named(each.name, words), notes, each.lines, words))
        colon = words.word("headings", ": ")
        items += [f"  - {_code(name)}{colon}{words.word('lines', text)}" for name, text in each.choices.items()]
    yield "\n".join(items)


def _outputs(node: Node, words: Words) -> Iterator[str]:
    yield f"## {words.word('headings', 'Outputs')}"
    items = []
    for each in node.outputs:
        notes = [_kinds(each.kind), words.word("headings", "a list") if each.is_list else ""]
        items.append(_item(_named(each.name, words), notes, each.lines, words))
    yield "\n".join(items) or words.word("headings", "None: it writes files to the output folder.")


def _item(name: str, notes: Iterable[str], lines: Iterable[str], words: Words) -> str:
    """An item of a list: the panel is too narrow for tables."""
    note = words.word("headings", ", ").join(filter(None, notes))
    return words.word("headings", ITEM).format(name=name, note=note, text=_lines(lines, words, " "))


def _links(node: Node, pack: Iterable[Node], words: Words) -> Iterator[str]:
    """Which nodes of the pack stand before and behind this one."""
    others = [each for each in pack if each.name != node.name]
    before = [each for each in others if each.gives & node.takes]
    behind = [each for each in others if each.takes & node.gives]
    lines = [
        words.word("headings", ": ").join((f"- {words.word('headings', heading)}", _titles(found, words)))
        for heading, found in (("Links come from", before), ("Links go to", behind))
        if found
    ]
    if lines:
        yield f"## {words.word('headings', 'Its neighbours')}"
        yield "\n".join(lines)


def _titles(nodes: Iterable[Node], words: Words) -> str:
    return words.word("headings", ", ").join(words.word("titles", each.title) for each in nodes)


def _choice_lines(each: Input, words: Words) -> list[str]:
    return [f"{name}: {words.word('lines', text)}" for name, text in each.choices.items()]


def _lines(lines: Iterable[str], words: Words, between: str = "\n") -> str:
    return between.join(words.word("lines", line) for line in lines)


def _named(name: str, words: Words) -> str:
    """A name as it stands in workflow files, and as the page shows it where that differs."""
    shown = words.word("names", name)
    return _code(name) if shown == name else f"{_code(name)} {shown}"


def _kinds(kind: str) -> str:
    return " / ".join(kind.split(","))


def _code(text: str) -> str:
    return f"`{text}`"


def _key(name: str) -> str:
    return name.replace(".", "_")  # the page reads dots as steps into an object


def _escaped(value: Any) -> Any:
    """Text that vue-i18n shows as it is: what has a meaning in its messages stands in quotes."""
    if isinstance(value, dict):
        return {key: _escaped(each) for key, each in value.items()}
    return re.sub(r"[{}@|]", r"{'\g<0>'}", value)
