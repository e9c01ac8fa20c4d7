"""How large a result of a core node may become.

ComfyUI's own limits of width, height and number allow terabytes in one node.

Not here: files (`reading`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmseg.errors import InputError

MOST_NUMBERS = 2**30  # 4 GB as floats: one RGBA picture of ComfyUI's largest width and height


def check_shape(shape: Sequence[int], *, place: str) -> None:
    """Refuse a result before it is made.

    Args:
        shape: of the result, with every number that it would hold.
        place: the input that asks for it.

    Raises:
        InputError: a negative side, or more numbers than memory should hold.
    """
    if min(shape) < 0 or math.prod(shape) > MOST_NUMBERS:
        raise InputError(
            f"a result of {' x '.join(map(str, shape))} numbers cannot be made; "
            f"expected sides of 0 or more, and at most {MOST_NUMBERS} numbers.",
            place=place,
        )
