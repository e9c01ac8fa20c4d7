"""`attention`: the table says what the papers do, and `attend` equals a loop over images, heads and tokens."""

from __future__ import annotations

import pytest

from llmseg import attention, options
from llmseg.attention import ATTENTION

# pairs, residual, FFN, window
KEPT = {
    "vanilla": (("qk",), True, True, 0),
    "maskclip": ((), True, True, 0),
    "surgery": (("vv",), True, False, 0),
    "gem": (("qq", "kk", "vv"), True, False, 0),
    "sclip": (("qq", "kk"), True, True, 0),
    "clearclip": (("qq",), False, False, 0),
    "naclip": (("kk",), False, False, 5),
    "itaclip": (("qq", "kk"), True, False, 0),
    "scclip": (("kk",), False, False, 0),
    "resclip": (("kk",), False, False, 5),
    "stitched": (("kk",), False, False, 5),
    "proxyclip": ((), False, False, 0),
}
NUMBERS = {
    ("surgery", "depth"): 6,
    ("gem", "depth"): 6,
    ("gem", "normalised"): True,
    ("itaclip", "borrowed"): attention.Borrowed((7, 8, 10), ("qq", "kk"), share=0.5, gain=1.0),
    ("scclip", "calibration"): attention.Calibration(
        middle=9, early=4, summed=(4, 10), least=0.4, sharpness=3.0, cls_share=0.3
    ),
    ("scclip", "weight"): 0.5,
    ("resclip", "borrowed"): attention.Borrowed((6, 7, 8, 9), ("qk",), share=0.4, gain=2.0),
    ("resclip", "feedback"): attention.Feedback(share=0.7, gain=1.8, threshold=0.11, logit_scale=40.0),
    ("stitched", "stitched"): True,
    ("proxyclip", "proxy"): attention.Proxy(cutoff=1.2, sharpness=3.0),
}


def test_entries_are_the_listed_ones():
    assert list(ATTENTION) == list(options.ATTENTION.names) == list(KEPT)


@pytest.mark.parametrize("name", ATTENTION)
def test_entry_cites_its_paper(name):
    assert ATTENTION[name].source.startswith("arXiv:")


@pytest.mark.parametrize("name", ATTENTION)
def test_parts_kept_of_the_last_block(name):
    entry = ATTENTION[name]
    assert (entry.pairs, entry.residual, entry.ffn, entry.window) == KEPT[name]


@pytest.mark.parametrize("field", ["depth", "normalised", "borrowed", "feedback", "calibration", "proxy", "stitched"])
def test_extra_branches_are_the_published_ones(field):
    plain = attention.LastBlock((), residual=False, ffn=False, source="")
    found = {name: getattr(entry, field) for name, entry in ATTENTION.items()}
    assert {name: value for name, value in found.items() if value != getattr(plain, field)} == {
        name: value for (name, its_field), value in NUMBERS.items() if its_field == field
    }


def test_only_gem_and_scclip_weigh_their_maps():
    weights = {name: entry.weight for name, entry in ATTENTION.items() if entry.weight != 1}
    assert weights == {"gem": 1 / 3, "scclip": 0.5}
