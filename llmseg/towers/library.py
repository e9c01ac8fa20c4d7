"""Models of open_clip, built from a configuration and tensors: any of its text towers beside one of our image towers.

open_clip, and timm with it, is imported here and only here, when such a model is asked for.

Not here: which configuration a file has (`configs`), the image towers (`timm_vit`, `resnet`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from ..clip_config import ClipConfig, TowerConfig
from ..errors import ModelError
from ..tokenizer import VOCABULARY_SIZE
from ..vit import TextSide
from .resnet import STRIDE, ResNetTower
from .timm_vit import TimmTower

__all__ = ["LibraryModel", "build_library_model", "build_network", "build_resnet", "import_open_clip", "misfit"]

BUILT = ("embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "init_logit_bias")  # of a configuration
MOST_BLOCKS = 256
DRAWS = ("normal_", "uniform_", "erfinv_", "kaiming_uniform_", "xavier_uniform_")  # fill a tensor


class LibraryModel(nn.Module):
    """A CustomTextCLIP of open_clip with its timm tower as ours; a `llmseg.tower.Model`.

    Args:
        network: open_clip's model, whose parts are taken over.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.visual = TimmTower(network.visual)
        self.text = network.text

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Embedding of token rows by open_clip's own text tower, not normalised. int64 [N,L] -> [N,D]"""
        mask = getattr(self.text, "attn_mask", None)
        length = tokens.shape[1]
        if mask is None or mask.shape[-1] == length:
            out: Tensor = self.text(tokens)
        else:  # open_clip cuts positions to the sentence, its causal mask it does not
            out = functional_call(self.text, {"attn_mask": mask[:length, :length]}, (tokens,))
        return out


class _NoDraws(TorchFunctionMode):
    """Random numbers for weights that are replaced at once are left out: they take longer than reading the file."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__name__", "") in DRAWS:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def import_open_clip(model: str) -> Any:
    """The library; a model that needs it says so.

    Raises:
        ModelError: it cannot be imported.
    """
    try:
        import open_clip
    except Exception as error:  # a torchvision that does not match torch fails with more than ImportError
        raise ModelError(
            f"{model!r} needs open_clip, which cannot be imported ({error}). "
            "Run: pip install open_clip_torch, with a torchvision that matches torch.",
            place="model",
        ) from error
    return open_clip


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """open_clip's CustomTextCLIP of a configuration, its weights undefined; nothing is fetched."""
    from open_clip.model import CustomTextCLIP

    given = {name: config[name] for name in BUILT if name in config}
    given["vision_cfg"] = {**given["vision_cfg"], "timm_model_pretrained": False}
    with _NoDraws():
        network: nn.Module = CustomTextCLIP(**given)
    return network


def misfit(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    """What of a checkpoint does not fit a configuration, in a few words; empty where all does."""
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in build_network(config).state_dict().items()}
    wrong = [name for name, shape in wanted.items() if _is_weight(name) and _shape(state, name) != shape]
    extra = [name for name in state if _is_weight(name) and name not in wanted]
    found = [*wrong, *extra]
    return f"{len(found)} tensors missing, too many or of another shape, first {', '.join(found[:3])}" if found else ""


def build_library_model(config: Mapping[str, Any], state: Mapping[str, Tensor], tanh: bool = False) -> LibraryModel:
    """Both towers in float32 and evaluation mode, with the tensors of a checkpoint.

    Args:
        config: an open_clip configuration.
        state: tensors by open_clip's names.
        tanh: whether all MLPs use GELU's approximation by tanh, whatever the configuration says.

    Raises:
        ModelError: tensors that do not fit, or an image tower that is no plain transformer.
    """
    if problem := misfit(config, state):
        raise ModelError(f"{problem}; expected those of its configuration.", place="model")
    network = build_network(config)
    tensors = {name: state[name].float() for name in network.state_dict() if _is_weight(name)}
    network.load_state_dict(tensors, strict=False, assign=True)
    if tanh:
        for module in network.modules():
            for name, part in list(module.named_children()):
                if isinstance(part, nn.GELU):
                    setattr(module, name, nn.GELU(approximate="tanh"))
    return LibraryModel(network).requires_grad_(False).eval()


def build_resnet(state: Mapping[str, Tensor], activation: str) -> TextSide:
    """A CLIP ResNet with CLIP's text tower, sizes read off the tensors.

    Args:
        state: tensors in OpenAI's layout.
        activation: of the text tower, a name in `options.ACTIVATION`.

    Raises:
        ModelError: tensors that do not fit.
    """
    from open_clip.modified_resnet import ModifiedResNet

    try:
        config = _resnet_config(state, activation)
        layers = [_count(state, f"visual.layer{number}.") for number in (1, 2, 3, 4)]
        heads = max(1, config.vision.width // 64)
        stem = config.vision.width // 32

        def make() -> TextSide:
            net = ModifiedResNet(layers, config.embed_dim, heads, image_size=config.image_size, width=stem)
            return TextSide(config, ResNetTower(net))

        with torch.device("meta"):
            wanted = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    except (KeyError, ValueError, IndexError, RuntimeError, ZeroDivisionError) as error:
        raise ModelError(f"not a CLIP ResNet ({str(error)[:200]}); expected OpenAI's layout.", place="model") from error
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    wrong = [name for name, shape in wanted.items() if name not in counters and _shape(state, name) != shape]
    extra = [name for name in state if name.startswith(("visual.", "transformer.")) and name not in wanted]
    if found := [*wrong, *extra]:
        raise ModelError(
            f"{len(found)} tensors missing, too many or of another shape, first {', '.join(found[:3])}; "
            "expected a CLIP ResNet in OpenAI's layout.",
            place="model",
        )
    return _filled(make, state, set(wanted) - counters)


def _filled(make: Callable[[], TextSide], state: Mapping[str, Tensor], names: set[str]) -> TextSide:
    with _NoDraws():
        model = make()
    model.load_state_dict({name: state[name].float() for name in names}, strict=False, assign=True)
    return model.requires_grad_(False).eval()


def _resnet_config(state: Mapping[str, Tensor], activation: str) -> ClipConfig:
    width = state["visual.layer1.0.conv1.weight"].shape[0] * STRIDE
    places, _ = state["visual.attnpool.positional_embedding"].shape
    text_width, embed_dim = state["text_projection"].shape
    context_length, _ = state["positional_embedding"].shape
    vocab_size, _ = state["token_embedding.weight"].shape
    hidden, _ = state["transformer.resblocks.0.mlp.c_fc.weight"].shape
    text = TowerConfig(text_width, _count(state, "transformer.resblocks."), max(1, text_width // 64), hidden)
    if width % max(1, width // 64) or text_width % text.heads:
        raise ValueError(f"towers {width} and {text_width} wide")
    if places < 2 or math.isqrt(places - 1) ** 2 != places - 1:
        raise ValueError(f"{places} places")
    if vocab_size != VOCABULARY_SIZE:
        raise ValueError(f"a vocabulary of {vocab_size} tokens")
    return ClipConfig(
        vision=TowerConfig(width, 0, max(1, width // 64), 0),
        text=text,
        image_size=round((places - 1) ** 0.5) * STRIDE,
        patch_size=STRIDE,
        context_length=context_length,
        vocab_size=vocab_size,
        embed_dim=embed_dim,
        activation=activation,
    )


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Blocks of a row, by the numbers in their names."""
    count = len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})
    if count > MOST_BLOCKS:
        raise ValueError(f"{count} blocks")
    return count


def _is_weight(name: str) -> bool:
    return name.startswith(("visual.", "text."))


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(state[name].shape) if name in state else None
