"""Stand-ins for ComfyUI's own nodes, so that its workflow files run where it is not installed.

Same class keys, inputs, order of inputs and results as ComfyUI 0.8. Only the headless runner
registers them. One more node is one class and one row of its module's `NODES`.

Not here: our own nodes.
"""

from __future__ import annotations

from . import (
    alpha,
    batching,
    compositing,
    image_editing,
    loading,
    mask_editing,
    masks,
    preview,
    regexes,
    resizing,
    saving,
    scaling,
    texts,
    values,
)

__all__ = ["CORE_DISPLAY_NAMES", "CORE_NODES"]

_NODES: dict[str, tuple[type, str]] = {
    **alpha.NODES,
    **batching.NODES,
    **compositing.NODES,
    **image_editing.NODES,
    **loading.NODES,
    **mask_editing.NODES,
    **masks.NODES,
    **preview.NODES,
    **regexes.NODES,
    **resizing.NODES,
    **saving.NODES,
    **scaling.NODES,
    **texts.NODES,
    **values.NODES,
}

CORE_NODES: dict[str, type] = {key: node for key, (node, _) in _NODES.items()}
CORE_DISPLAY_NAMES: dict[str, str] = {key: title for key, (_, title) in _NODES.items()}
