"""What a window is looked at with: an attention, and what it asks for besides: phrases, or another model's eyes.

Not here: windows (`patch_features`), the methods (`attention`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .attention import ATTENTION
from .backbone import Backbone
from .encoder import Encoder
from .errors import InputError
from .types import TextBank
from .windows import MOST_PATCHES_IN_ALL, WindowPlan

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Look", "choose_look"]

MOST_PAIRED_PATCHES = 2**12  # 1024 x 1024 pixels in a ViT-B/16


class Look(NamedTuple):
    """How every window is looked at; what the attention does not ask for is None.

    Args:
        attention: a name in `ATTENTION`.
        phrases: unit vectors. [K,D]
        backbone: tells which patches are alike.
    """

    attention: str
    phrases: Tensor | None = None
    backbone: Backbone | None = None

    def encode(self, encoder: Encoder, windows: Tensor, cells: tuple[int, int]) -> Tensor:
        """Unit features of windows of `cells` patches, on the grid of `cells()`. [N,3,H,W] -> [N,h,w,D]"""
        if self.backbone is None:
            return encoder.encode_patches(windows, self.attention, self.phrases)
        seen = windows[..., : cells[0] * encoder.patch_size, : cells[1] * encoder.patch_size]
        grid = self.backbone.fit_grid(cells, encoder.patch_size)
        return encoder.encode_patches(seen, self.attention, self.phrases, self.backbone.patch_features(seen, grid))

    def cells(self, encoder: Encoder, plan: WindowPlan) -> tuple[int, int]:
        """Rows and columns of the features of a window: of its patches, or of the backbone's finer ones."""
        return plan.cells if self.backbone is None else self.backbone.fit_grid(plan.cells, encoder.patch_size)

    def refuse_too_many(self, encoder: Encoder, plan: WindowPlan) -> None:
        """Refuse windows that memory does not hold; a workflow file may ask for any size.

        Raises:
            InputError: too many patches in one of them, or in all.
        """
        method, (high, wide) = ATTENTION[self.attention], self.cells(encoder, plan)
        # These hold a number for every pair of patches, several times over.
        paired = method.feedback is not None or method.calibration is not None
        for place, patches, most in (
            ("window", high * wide if paired else 0, MOST_PAIRED_PATCHES),
            ("stride", high * wide * plan.count, MOST_PATCHES_IN_ALL),
        ):
            if patches > most:
                larger = "" if place == "window" else " or a larger stride"
                raise InputError(
                    f"{patches} patches; expected at most {most} for attention {self.attention!r}. "
                    f"Choose a smaller window{larger}.",
                    place=place,
                )


def choose_look(encoder: Encoder, attention: str, text_bank: TextBank | None, backbone: Backbone | None) -> Look:
    """An attention with what it asks for, and without what it does not.

    Raises:
        UnknownNameError: no such attention.
        InputError: one that the encoder cannot run, or that asks for what is missing or of another encoder.
    """
    method = encoder.method(attention)
    phrases = None if method.feedback is None else _take_phrases(encoder, attention, text_bank)
    if method.proxy is None:
        return Look(attention, phrases)
    if backbone is None:
        raise InputError(
            f"{attention!r} asks a backbone which patches are alike; expected one. Connect Load Backbone, or choose "
            "another attention.",
            place="attention",
        )
    return Look(attention, phrases, backbone)


def _take_phrases(encoder: Encoder, attention: str, bank: TextBank | None) -> Tensor:
    if bank is None:
        raise InputError(
            f"{attention!r} looks at the phrases; expected a text bank. Connect text_bank, or choose another.",
            place="attention",
        )
    if bank.model != encoder.identity:
        raise InputError(f"phrases encoded by {bank.model!r}; expected {encoder.identity!r}.", place="text_bank")
    return bank.embeddings
