"""Plain values and tensors as the bytes of one safetensors file, and back, bit for bit.

    metadata    llmseg: schema, the digest of all that follows, and the value as JSON, tensors by name

Plain are None, bool, int, float, str and lists, tuples and dicts of them. A file with a flipped bit is refused.

Not here: what the values mean (`stored_features`), where files lie (`store`, the nodes).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .store import content_hash

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["dump_value", "load_value", "tensor_hash"]

SCHEMA = 1
ENTRY = "llmseg"
PLAIN = (bool, int, float, str)
PLACE = "stored value"


def dump_value(value: object, limit: int) -> bytes:
    """The file of a value. Tensors must be on the CPU, dense and without a gradient; they come back contiguous.

    Args:
        value: plain values and tensors.
        limit: bytes that the tensors, and the rest, may have.

    Raises:
        InputError: anything else inside it, or more than `limit` bytes.
    """
    from safetensors.torch import save

    found: dict[int, tuple[str, Tensor]] = {}
    try:
        structure = json.dumps(_describe(value, found))
    except (RecursionError, ValueError) as error:  # nested without end; a number of too many digits
        raise InputError(f"{error}; expected plain values.", place=PLACE) from error
    if (size := max(len(structure), sum(tensor.nbytes for _, tensor in found.values()))) > limit:
        raise InputError(f"{size} bytes; expected at most {limit}.", place=PLACE)
    # Cloned: safetensors refuses tensors that share memory.
    tensors = {name: tensor.contiguous().clone() for name, tensor in found.values()}
    # One entry: several would come in any order, and equal values would not be equal files.
    return save(tensors, {ENTRY: json.dumps([SCHEMA, _digest(structure, tensors), structure])})


def load_value(data: bytes) -> Any:
    """The value of a file.

    Raises:
        InputError: it is damaged, or no such file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        schema, digest, structure = json.loads(header["__metadata__"][ENTRY])
        if schema != SCHEMA:
            raise InputError(f"schema {schema!r}; expected {SCHEMA}.", place=PLACE)
        # Copied to where torch itself would put them: sums may depend on how numbers lie in memory.
        tensors = {name: tensor.clone() for name, tensor in load(data).items()}
        if digest != _digest(structure, tensors):
            raise InputError("other content than was written; expected the digest to fit.", place=PLACE)
        return _build(json.loads(structure), tensors)
    except (SafetensorError, AssertionError, LookupError, RecursionError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{error!r}; expected a file as it was written.", place=PLACE) from error


def tensor_hash(tensor: Tensor) -> str:
    """Changes with every bit, the shape and the number format."""
    return content_hash(str(tensor.dtype), list(tensor.shape), _raw(tensor))


def _describe(value: object, found: dict[int, tuple[str, Tensor]]) -> Any:
    """The value as JSON; tensors are added to `found` by their id, and their name stands for them."""
    if value is None or type(value) in PLAIN:  # a subclass would come back as something else
        return value
    if type(value) is list:
        return [_describe(item, found) for item in value]
    if type(value) is tuple:
        return {"tuple": [_describe(item, found) for item in value]}
    if type(value) is dict:
        return {"dict": [[_describe(key, found), _describe(item, found)] for key, item in value.items()]}
    if id(value) not in found:
        found[id(value)] = (str(len(found)), _check_tensor(value))
    return {"tensor": found[id(value)][0]}


def _check_tensor(value: object) -> Tensor:
    import torch

    if type(value) is not torch.Tensor:
        raise InputError(f"{type(value).__name__}; expected plain values and tensors.", place=PLACE)
    if value.device.type != "cpu" or value.layout != torch.strided or value.requires_grad or value.is_quantized:
        raise InputError(f"a tensor on {value.device}, {value.layout}; expected a plain one on cpu.", place=PLACE)
    return value


def _build(structure: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(structure, list):
        return [_build(item, tensors) for item in structure]
    if not isinstance(structure, dict):
        return structure
    ((kind, content),) = structure.items()
    if kind == "tuple":
        return tuple(_build(item, tensors) for item in content)
    if kind == "dict":
        return {_build(key, tensors): _build(item, tensors) for key, item in content}
    if kind == "tensor":
        return tensors[content]
    raise InputError(f"{kind!r}; expected tuple, dict or tensor.", place=PLACE)


def _digest(structure: str, tensors: Mapping[str, Tensor]) -> str:
    return content_hash(structure, {name: tensor_hash(tensor) for name, tensor in tensors.items()})


def _raw(tensor: Tensor) -> bytes:
    import torch

    data: bytes = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return data
