"""Links through bypassed nodes: which input is passed on, and which types go together."""

from __future__ import annotations

import pytest

from llmseg.graph.definitions import InputSpec, NodeDefinition
from llmseg.graph.drawing.resolution import choose_bypass, compatible
from llmseg.graph.drawing.sockets import Socket, class_sockets

SOCKETS = [Socket("model", "MODEL"), Socket("image", "IMAGE"), Socket("mask", "MASK")]


@pytest.mark.parametrize(
    ("slot", "output", "wanted", "chosen"),
    [
        (0, "IMAGE", "*", "model"),  # anything: the input of the same number
        (5, "IMAGE", "*", "model"),  # there is none: the first
        (1, "IMAGE", "IMAGE", "image"),  # same number and type
        (0, "IMAGE", "IMAGE", "image"),  # first input of exactly that type
        (1, "MASK", "MASK", "mask"),
        (0, "*", "LATENT,mask", "mask"),  # first compatible one, in any case
        (0, "IMAGE", "LATENT", None),
    ],
)
def test_bypass_slot_rule(slot: int, output: str, wanted: str, chosen: str | None) -> None:
    found = choose_bypass(SOCKETS, slot, output, wanted)
    assert (found.name if found else None) == chosen


def test_a_node_without_inputs_passes_nothing_on() -> None:
    assert choose_bypass([], 0, "A", "*") is None


def test_compatible_types() -> None:
    assert compatible("IMAGE,MASK", "mask")
    assert compatible("*", "X")
    assert compatible("", "X")
    assert not compatible("IMAGE", "MASK")


def test_sockets_are_rebuilt_in_the_editors_order_and_linked_by_name() -> None:
    definition = NodeDefinition(
        "N", (InputSpec("a", "INT"), InputSpec("image", "IMAGE"), InputSpec("b", "INT"), InputSpec("m", "MASK"))
    )
    rows = [
        Socket("b", "INT", "7", widget=True),
        Socket("extra", "LATENT", "8"),
        Socket("gone", "INT", "9", widget=True),
        Socket("image", "old", "6"),
    ]
    sockets = class_sockets(definition, {}, rows)
    assert [(socket.name, socket.type, socket.link) for socket in sockets] == [
        ("image", "IMAGE", "6"),
        ("m", "MASK", None),
        ("a", "INT", None),
        ("b", "INT", "7"),
        ("extra", "LATENT", "8"),
    ]


def test_growing_inputs_show_linked_members_and_one_spare() -> None:
    template = {"input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 2, "max": 50}
    definition = NodeDefinition("N", (InputSpec("images", "COMFY_AUTOGROW_V3", True, {"template": template}),))
    names = [s.name for s in class_sockets(definition, {}, [Socket("images.image2", "IMAGE", "1")])]
    assert names == ["images.image0", "images.image1", "images.image2", "images.image3"]
    assert len(class_sockets(definition, {}, [])) == 2
