"""SimSeg's text tower: BERT without its pooler, a projection of every word, and the largest of each channel.

BERT itself is that of the package `transformers`, imported when a model needs it.

Not here: words -> tokens (`wordpiece`), the image tower (`plain`). Sources: arXiv:1810.04805; LoDA pooling of SimSeg
(Yi et al., CVPR 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PAD", "BertTower", "build_bert"]

PAD = 0  # token that fills a row up, of every vocabulary of BERT's
ABSENT = -10_000.0  # a channel of a padded place, below all others
HEAD_WIDTH = 64
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")  # in files of older transformers
WORDS = "embeddings.word_embeddings.weight"


class BertTower(nn.Module):
    """Token rows to vectors.

    Args:
        bert: `transformers.BertModel` without pooler.
        projection: from its width to the joint space, without bias.
    """

    def __init__(self, bert: nn.Module, projection: nn.Linear) -> None:
        super().__init__()
        self.bert = bert
        self.projection = projection

    def forward(self, tokens: Tensor) -> Tensor:
        """The largest value of each channel over the words, start and end among them. int64 [N,L] -> [N,D]"""
        read = tokens != PAD
        words = self.bert(input_ids=tokens, attention_mask=read.long()).last_hidden_state
        projected: Tensor = self.projection(words)
        return projected.masked_fill(~read[..., None], ABSENT).amax(1)


def build_bert(state: Mapping[str, Tensor], prefix: str, projection: Tensor) -> BertTower:
    """A float32 tower in evaluation mode; its sizes are read off the shapes.

    Args:
        state: tensors of a file; those that do not start with `prefix` are not looked at.
        prefix: what stands before BERT's names.
        projection: [D,width]

    Raises:
        ModelError: no transformers, or tensors that are not those of a BERT.
    """
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    own = {name: tensor.float() for name, tensor in own.items() if name not in BUFFERS and "pooler." not in name}
    transformers = _import_transformers()
    sizes = _infer_sizes(own)
    if projection.ndim != 2 or projection.shape[1] != sizes["hidden_size"]:
        raise ModelError(
            f"a text projection of shape {list(projection.shape)}; expected [D,{sizes['hidden_size']}].", place="model"
        )
    config = transformers.BertConfig(**sizes)
    with torch.device("meta"):  # no time spent on random weights that are replaced at once
        bert = transformers.BertModel(config, add_pooling_layer=False)
        linear = nn.Linear(sizes["hidden_size"], len(projection), bias=False)
    wanted = {name: tensor.shape for name, tensor in bert.state_dict().items() if name not in BUFFERS}
    wrong = [name for name, shape in wanted.items() if name not in own or own[name].shape != shape]
    if wrong or len(own) != len(wanted):
        found = wrong or [name for name in own if name not in wanted]
        raise ModelError(
            f"{len(found)} tensors of the text tower missing, too many or of another shape, first "
            f"{', '.join(found[:3])}; expected those of a BERT.",
            place="model",
        )
    bert.load_state_dict(own, assign=True, strict=False)
    # Numbers of places, which no file holds; made with a vocabulary of one word, as they do not depend on it.
    small = type(bert.embeddings)(transformers.BertConfig(**{**sizes, "vocab_size": 1}))
    for name, buffer in small.named_buffers():
        bert.embeddings.register_buffer(name, buffer, persistent=False)
    linear.load_state_dict({"weight": projection.float()}, assign=True)
    return BertTower(bert, linear).requires_grad_(False).eval()


def _infer_sizes(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Arguments of `transformers.BertConfig`."""
    try:
        words, width = state[WORDS].shape
        layers = len({name.split(".")[2] for name in state if name.startswith("encoder.layer.")})
        hidden = len(state["encoder.layer.0.intermediate.dense.weight"])
        places = len(state["embeddings.position_embeddings.weight"])
        kinds = len(state["embeddings.token_type_embeddings.weight"])
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise ModelError(f"no text tower ({error!r}); expected that of a BERT.", place="model") from error
    if width % HEAD_WIDTH or not width:
        raise ModelError(f"a text tower {width} wide; expected whole heads of {HEAD_WIDTH}.", place="model")
    return {
        "vocab_size": words,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // HEAD_WIDTH,
        "intermediate_size": hidden,
        "max_position_embeddings": places,
        "type_vocab_size": kinds,
        "pad_token_id": PAD,
    }


def _import_transformers() -> Any:
    try:
        import transformers
    except Exception as error:  # a transformers that does not match torch fails with more than ImportError
        raise ModelError(
            f"the text tower is a BERT and needs transformers, which cannot be imported ({error}). "
            "Run: pip install transformers",
            place="model",
        ) from error
    return transformers
