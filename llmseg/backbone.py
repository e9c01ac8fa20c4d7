"""A model that knows which patches belong together, though it reads no text: DINO, DINOv2 and their kin, from a file.

    proxyclip   attention between patches that it finds alike (`proxy`)
    lposs       scores flow between them (`propagation`)

Files as timm or the authors have them: `cls_token`, `pos_embed`, `patch_embed.proj`, `blocks.0` ...

Not here: the tower (`towers.plain`), the model that reads text (`encoder`). Sources: DINO (arXiv:2104.14294), DINOv2
(arXiv:2304.07193).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError, ModelError, lookup
from .models.checkpoint import load_checkpoint
from .models.weights import FILE_SUFFIXES
from .options import AUTO, DTYPE
from .store import file_hash

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .towers.plain import PlainTower

__all__ = ["Backbone", "holds_backbone", "load_backbone"]

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, in which all of them were trained
STD = (0.229, 0.224, 0.225)
MOST_PATCHES = 2**14  # in one pass, as in `windows`
CONVOLUTION, ATTENTION = "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"


class Backbone:
    """A plain ViT that is ready to run: pictures in, unit vectors of patches out.

    Args:
        tower: as built by `towers.plain.build_plain`.
        name, identity: of the file; the second changes whenever the weights do.
        device: where it runs.
        dtype: a name in `options.DTYPE`; "auto" is float16 on CUDA, else float32.

    Attributes:
        module, before_run, results: as in `encoder.Encoder`.
        patch_size: pixels.
    """

    def __init__(
        self, tower: PlainTower, name: str, identity: str, device: str | torch.device = "cpu", dtype: str = AUTO
    ) -> None:
        import torch

        if dtype == AUTO:
            dtype = "float16" if torch.device(device).type == "cuda" else "float32"
        lookup(DTYPE.names, dtype, place="dtype")
        self.name, self.identity = name, identity
        self.module = tower.to(device).to(getattr(torch, dtype))
        self.patch_size = tower.patch_size
        self.before_run: Callable[[], object] | None = None
        self.results: torch.device | None = None
        self._mean = torch.tensor(MEAN).view(3, 1, 1)
        self._std = torch.tensor(STD).view(3, 1, 1)

    def patch_features(self, images: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Unit vectors of patches after the last norm.

        Args:
            images: RGB in 0..1. [B,3,H,W]
            grid: patches wanted, height first: images are resized to exactly these; None for as many as there are,
                what is over whole patches on the right and below not looked at.

        Returns:
            In float32. [B,h,w,E]

        Raises:
            InputError: an image without a whole patch, or more patches than memory holds.
        """
        import torch

        with torch.no_grad():
            prepared, grid = self._prepare(images, grid)
            return self._finish(self.module(prepared), grid)

    def value_features(self, images: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Unit vectors of the values that the last block's attention mixes; as `patch_features`. [B,h,w,E]"""
        import torch

        with torch.no_grad():
            prepared, grid = self._prepare(images, grid)
            x, _ = self.module.embed(prepared)
            *blocks, last = self.module.blocks
            for block in blocks:
                x = block(x)
            return self._finish(last.attn.project(last.ln_1(x), "v").v.transpose(1, 2).flatten(2), grid)

    def fit_grid(self, grid: tuple[int, int], patch: int) -> tuple[int, int]:
        """Its own patches for an image of another model's: whole multiples, nearest to its own size of patches.

        Args:
            grid: of the other model, height first.
            patch: its patch size in pixels.
        """
        finer = max(1, round(patch / self.patch_size))
        return grid[0] * finer, grid[1] * finer

    def _prepare(self, images: Tensor, grid: tuple[int, int] | None) -> tuple[Tensor, tuple[int, int]]:
        from torch.nn.functional import interpolate

        patch = self.patch_size
        height, width = grid or (images.shape[-2] // patch, images.shape[-1] // patch)
        if not 0 < height * width <= MOST_PATCHES:
            raise InputError(
                f"{images.shape[-1]} x {images.shape[-2]} pixels are {width} x {height} patches; expected 1 to "
                f"{MOST_PATCHES} for a backbone. Choose another size.",
                place="backbone",
            )
        if self.before_run is not None:
            self.before_run()
        weight = self.module.norm.weight
        images = images.to(weight.device).float()
        size = (height * patch, width * patch)
        if grid is not None and tuple(images.shape[-2:]) != size:
            images = interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)
        return ((images - self._mean.to(images)) / self._std.to(images)).to(weight.dtype), (height, width)

    def _finish(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Unit vectors of the patches among tokens. [B,N,E] -> [B,h,w,E]"""
        from torch.nn.functional import normalize

        patches = tokens[:, self.module.prefix :].float()  # lengths need more digits than halves have
        out: Tensor = normalize(patches, dim=-1).unflatten(1, grid)
        return out if self.results is None else out.to(self.results)


def holds_backbone(names: Collection[str]) -> bool:
    """Whether tensors of these names may be a plain ViT, whatever stands before them."""
    prefix = _find_prefix(names)
    return prefix is not None and {f"{prefix}cls_token", f"{prefix}pos_embed", f"{prefix}{ATTENTION}"} <= set(names)


def _find_prefix(names: Collection[str]) -> str | None:
    """What stands before timm's names; None where there are none."""
    return next((name.removesuffix(CONVOLUTION) for name in names if name.endswith(CONVOLUTION)), None)


def load_backbone(
    model: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: str = AUTO,
    folders: Sequence[Path] = (),
) -> Backbone:
    """Load a backbone from a file.

    Args:
        model: .safetensors; .pt, .pth and .bin are read as plain tensors.
        device, dtype: as in `Backbone`.
        folders: where a bare file name is looked for, after the path as given.

    Raises:
        ModelError: missing, unreadable, or not a plain ViT.
        UnknownNameError: no such dtype.
    """
    from .towers.plain import build_plain

    candidates = [Path(model), *(folder / model for folder in folders)]
    path = next((each for each in candidates if each.is_file()), None)
    if path is None or path.suffix not in FILE_SUFFIXES:
        looked = ", ".join(str(each) for each in candidates)
        raise ModelError(
            f"no file {str(model)!r}; expected one ending in {', '.join(FILE_SUFFIXES)}, looked for {looked}.",
            place="backbone",
        )
    state, _ = load_checkpoint(path)
    prefix = _find_prefix(state)
    if prefix is None:
        raise ModelError(
            f"{path.name!r} holds no 'patch_embed.proj.weight'; expected a plain ViT as timm's or DINO's.",
            place="backbone",
        )
    tower = build_plain(state, prefix)
    return Backbone(tower, path.stem, f"{path.stem}@{file_hash(path)[:16]}", device, dtype)
