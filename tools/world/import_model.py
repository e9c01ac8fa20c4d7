"""Turn the training checkpoint of the embedded model into the file that ships with the library.

    python -m tools.world.import_model SOURCE llmseg/data/models/embedded.safetensors

SOURCE is a safetensors file in OpenAI layout with a compact token table and, in its metadata, ``keep``:
a JSON list of CLIP token ids, where row i+1 of the table belongs to id keep[i] and row 0 to every other id.
Tensors pass unchanged in float16, the training loss's own temperature ``local_scale`` becomes metadata.

Not here: training, reading the result (`llmseg.encoder`).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from llmseg.errors import LLMSegError, ModelError
from llmseg.store import write_atomic

from .vocabulary import known_names, known_words

__all__ = ["import_model", "main", "model_card"]

TABLE = "token_embedding.weight"
SCALE = "local_scale"


def _read(source: Path) -> tuple[dict[str, Tensor], list[int]]:
    """The tensors of a checkpoint and the token ids of its compact table."""
    try:
        with safe_open(source, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        problem = f"cannot read {source.as_posix()!r}: {error}; expected a safetensors checkpoint."
        raise ModelError(problem, place="SOURCE") from error
    missing = [key for key in (TABLE, SCALE) if key not in tensors]
    if missing or "keep" not in metadata:
        problem = f"{source.as_posix()!r} lacks {', '.join(missing) or 'the metadata keep'}"
        raise ModelError(f"{problem}; expected {TABLE}, {SCALE} and the metadata keep.", place="SOURCE")
    token_ids = [int(token) for token in json.loads(metadata["keep"])]
    rows = len(tensors[TABLE])
    if rows != len(token_ids) + 1:
        problem = f"{TABLE} has {rows} rows; expected {len(token_ids) + 1}, one more than keep lists."
        raise ModelError(problem, place="SOURCE")
    return tensors, token_ids


def model_card(token_ids: list[int], logit_scale: float) -> dict[str, object]:
    """What the library must know beside the tensors; the metadata entry ``llmseg`` of the file."""
    return {
        "schema": 1,
        "name": "emoji-bootstrap",
        "description": (
            "A small CLIP trained by this project on composed scenes of 240 emoji drawings on 10 procedural "
            "backgrounds. It knows these words and drawings only, and nothing of photographs."
        ),
        "licence": "Apache-2.0",
        "vision": {"image_size": 96, "patch_size": 8, "width": 192, "layers": 6, "heads": 3},
        "text": {"context_length": 32, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 2},
        "embed_dim": 128,
        "activation": "gelu",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.27, 0.27, 0.27],
        "token_ids": token_ids,
        "words": known_words(),
        "names": known_names(),
        "library": "emoji",
        "logit_scale": logit_scale,
    }


def import_model(source: Path, target: Path) -> None:
    """Read a checkpoint, write the shipped file.

    Raises:
        ModelError: the checkpoint is unreadable or incomplete.
    """
    tensors, token_ids = _read(source)
    scale = math.exp(float(tensors.pop(SCALE)))
    halves = {key: tensor.to(torch.float16).contiguous() for key, tensor in tensors.items()}
    card = json.dumps(model_card(token_ids, scale), ensure_ascii=False)
    write_atomic(target, _sort_header(save(halves, metadata={"format": "pt", "llmseg": card})))


def _sort_header(data: bytes) -> bytes:
    """The same safetensors file with its header sorted: its writer puts metadata in random order."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors start at a multiple of 8
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 done, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.world.import_model", description="Import the model.")
    parser.add_argument("source", metavar="SOURCE", type=Path, help="training checkpoint, safetensors")
    parser.add_argument("target", metavar="TARGET", type=Path, help="file to write, safetensors")
    options = parser.parse_args(arguments)
    try:
        import_model(options.source, options.target)
    except LLMSegError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
