"""A pickle of TorchScript turned into bags of attributes, without being unpickled.

A small machine obeys the operations that the writer of such pickles uses, and no other. It calls nothing and imports
nothing; what it makes is bounded by the length of the pickle, and nothing in it is printed, hashed or compared whole,
since a few bytes can describe a value that is endless to print.

Not here: the archive with the numbers (`torchscript`). Sources: the codes in Python's `pickletools`; torch's pickler.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bag", "Name", "read_bags"]


@dataclass(frozen=True)
class Name:
    """A name that stands in the pickle; nothing is imported by it."""

    module: str
    name: str


@dataclass(eq=False)
class Bag:
    """What stands for a module: its attributes, and no behaviour."""

    attributes: dict[str, object] = field(default_factory=dict)


def read_bags(data: bytes, storage: Callable[[object], object], rebuild: Callable[..., object]) -> object:
    """What a pickle describes.

    Args:
        data: the pickle.
        storage: makes the numbers that a persistent id names.
        rebuild: makes a tensor from numbers and the arguments of torch's `_rebuild_tensor_v2`.

    Raises:
        ValueError, KeyError, IndexError, TypeError: whatever is wrong with it, those of the two functions among them.
    """
    return _Machine(storage, rebuild).run(data)


class _Machine:
    """A stack, marks in it, and a memo."""

    def __init__(self, storage: Callable[[object], object], rebuild: Callable[..., object]) -> None:
        self._storage = storage
        self._rebuild = rebuild
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> object:
        self._data = io.BytesIO(data)
        while (code := self._take(1)) != STOP:
            if code in CONSTANTS:
                self._stack.append(CONSTANTS[code])
            elif code in NUMBERS:
                self._stack.append(self._number(NUMBERS[code]))
            elif code in MACHINE:
                MACHINE[code](self)
            else:
                raise ValueError(f"the operation 0x{code.hex()}")
        return self._stack.pop()

    def version(self) -> None:
        self._take(1)

    def empty_list(self) -> None:
        self._stack.append([])

    def empty_dict(self) -> None:
        self._stack.append({})

    def long(self) -> None:
        self._stack.append(int.from_bytes(self._take(self._take(1)[0]), "little", signed=True))

    def text(self) -> None:
        self._stack.append(self._take(self._number("<I")).decode())

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def name(self) -> None:
        module, name = (self._data.readline().decode().rstrip("\n") for _ in range(2))
        self._stack.append(Name(module, name))

    def put(self, size: str) -> None:
        self._memo[self._number(size)] = self._stack[-1]

    def get(self, size: str) -> None:
        self._stack.append(self._memo[self._number(size)])

    def tuple_of(self, count: int) -> None:
        taken = tuple(self._stack[len(self._stack) - count :])
        self._stack[len(self._stack) - count :] = [taken]

    def marked_tuple(self) -> None:
        self._stack.append(tuple(self._take_marked()))

    def append(self) -> None:
        value = self._stack.pop()
        self._of(list).append(value)

    def extend(self) -> None:
        values = self._take_marked()
        self._of(list).extend(values)

    def set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._of(dict).update({_text(key): value})

    def set_items(self) -> None:
        values = self._take_marked()
        self._of(dict).update({_text(key): value for key, value in zip(values[::2], values[1::2], strict=True)})

    def new_module(self) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        if arguments != () or not isinstance(name, Name) or name.module.partition(".")[0] != "__torch__":
            raise ValueError(f"an object of {_show(name)}")
        self._stack.append(Bag())

    def fill(self) -> None:
        state = self._stack.pop()
        if not isinstance(state, dict) or self._of(Bag).attributes:
            raise ValueError("a module without attributes, or with two sets of them")
        self._stack[-1].attributes = state  # not copied: one large dict could fill many modules

    def call(self) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        if name == REBUILD:
            self._stack.append(self._rebuild(*arguments))
        elif name in LISTS:
            self._stack.append(arguments[0])
        elif name == HOOKS and arguments == ():
            self._stack.append(None)
        else:
            raise ValueError(f"a call of {_show(name)}")

    def storage(self) -> None:
        self._stack.append(self._storage(self._stack.pop()))

    def _take(self, count: int) -> bytes:
        data = self._data.read(count)
        if len(data) != count:
            raise ValueError("a pickle that is cut off")
        return data

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _of(self, kind: type) -> Any:
        if not isinstance(self._stack[-1], kind):
            raise ValueError(f"no {kind.__name__} where one is filled")
        return self._stack[-1]

    def _take_marked(self) -> list[Any]:
        start = self._marks.pop()
        taken = self._stack[start:]
        del self._stack[start:]
        return taken


def _text(key: object) -> str:
    """A key; a tuple of tuples of tuples would take for ever to hash."""
    if type(key) is not str:
        raise ValueError("a key that is no text")
    return key


def _show(name: object) -> str:
    return f"{name.module}.{name.name}"[:80] if isinstance(name, Name) else "what is no name"


REBUILD = Name("torch._utils", "_rebuild_tensor_v2")
HOOKS = Name("collections", "OrderedDict")  # the hooks of a tensor; there are none
LISTS = [Name("torch.jit._pickle", f"build_{kind}list") for kind in ("bool", "double", "int", "tensor")]
LISTS.append(Name("torch.jit._pickle", "restore_type_tag"))

# The operations by their codes, with how their arguments are packed; anything else is refused.
STOP = b"."
CONSTANTS: Mapping[bytes, object] = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}
NUMBERS: Mapping[bytes, str] = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
MACHINE: Mapping[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.version,
    b"]": _Machine.empty_list,
    b"}": _Machine.empty_dict,
    b"\x8a": _Machine.long,
    b"X": _Machine.text,
    b"(": _Machine.mark,
    b"c": _Machine.name,
    b"q": lambda machine: machine.put("<B"),
    b"r": lambda machine: machine.put("<I"),
    b"h": lambda machine: machine.get("<B"),
    b"j": lambda machine: machine.get("<I"),
    b"t": _Machine.marked_tuple,
    b"\x85": lambda machine: machine.tuple_of(1),
    b"\x86": lambda machine: machine.tuple_of(2),
    b"\x87": lambda machine: machine.tuple_of(3),
    b"a": _Machine.append,
    b"e": _Machine.extend,
    b"s": _Machine.set_item,
    b"u": _Machine.set_items,
    b"\x81": _Machine.new_module,
    b"b": _Machine.fill,
    b"R": _Machine.call,
    b"Q": _Machine.storage,
}
