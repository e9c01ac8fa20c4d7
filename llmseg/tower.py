"""What the engine asks of a model: an image tower made of blocks, and a text tower.

`dense` and every method of `attention.ATTENTION` run on whatever keeps to this; `vit.Clip` does by itself, the
towers of other libraries through the adapters of `towers`.

Not here: any tower (`vit`, `towers`), methods (`attention`, `dense`), reading weights (`models`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .mixing import Projections

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Attention", "Block", "Model", "Tower", "image_parameter", "text_parameter"]


class Attention(Protocol):
    """The attention of one block, in parts, so that a method can put them together in another way."""

    def project(self, x: Tensor, which: str = "qkv") -> Projections:
        """Some of the queries, keys and values, normed and rotated as in the tower. [B,N,width] -> [B,heads,N,d]

        Args:
            x: what `Block.ln_1` gave.
            which: letters of "qkv", neighbours, in this order; what is not named may be empty.
        """

    def merge(self, attended: Tensor) -> Tensor:
        """Heads back to tokens, scaled as the block scales them. [B,heads,N,d] -> [B,N,width]"""


class Block(Protocol):
    """One transformer block: x = x + attn(ln_1(x)), then x = x + mlp(ln_2(x)); layer scales belong to both parts."""

    @property
    def attn(self) -> Attention:
        """The attention."""

    @property
    def ln_1(self) -> Callable[[Tensor], Tensor]:
        """The norm before the attention."""

    @property
    def ln_2(self) -> Callable[[Tensor], Tensor]:
        """The norm before the MLP."""

    @property
    def mlp(self) -> Callable[[Tensor], Tensor]:
        """The MLP."""

    def __call__(self, x: Tensor) -> Tensor:
        """The block as it was trained. [B,N,width] -> the same"""


class Tower(Protocol):
    """An image tower; a torch module.

    Attributes:
        patch_size: side of a patch in pixels.
        prefix: tokens before the patches: CLS and registers; 0 where there are none.
        blocks: the modules that are the blocks, for `compile`; empty for a tower without.
    """

    patch_size: int
    prefix: int

    @property
    def blocks(self) -> Sequence[Any]:
        """As above."""

    def __call__(self, images: Tensor) -> Tensor:
        """Embedding of whole images as the library computes it, not normalised. [B,3,H,W] -> [B,D]"""

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the first block reads, and the patch grid, height first. [B,3,H,W] -> [B,prefix+P,width]

        What is over whole patches on the right and below is not looked at.
        """

    def on_grid(self, grid: tuple[int, int]) -> Sequence[Block]:
        """The blocks in order, as they work on patches of a grid: rotary positions depend on it."""

    def read_out(self, x: Tensor) -> Tensor:
        """Tokens after the last block in the space shared with text, each by itself. [...,width] -> [...,D]"""


class Model(Protocol):
    """Both towers; a torch module, whose `visual` holds every parameter of the image side."""

    visual: Any  # a `Tower`, which is a module too; Python has no word for both

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Embedding of token rows, not normalised. int64 [N,L] -> [N,D]"""


def image_parameter(model: Model) -> nn.Parameter:
    """A parameter of the image tower: it tells number format and device of all of them."""
    parameter: nn.Parameter = next(iter(model.visual.parameters()))
    return parameter


def text_parameter(model: Any) -> nn.Parameter:
    """A parameter beside the image tower; as above."""
    own = list(model.parameters(recurse=False))
    children = (child for name, child in model.named_children() if name != "visual")
    parameter: nn.Parameter = own[0] if own else next(each for child in children for each in child.parameters())
    return parameter
