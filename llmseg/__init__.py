"""Training-free semantic segmentation by language-model supervision (arXiv:2404.00701).

    >>> from llmseg import segment
    >>> result = segment("scene.png", "dog, car, tree")  # doctest: +SKIP

Names are imported when they are first used, so `import llmseg` costs nothing and needs no torch.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

# Public name -> module that defines it; `test_exports.py` holds it against every module's `__all__`.
_HOMES = {
    "InputError": "errors",
    "LLMSegError": "errors",
    "LLMError": "errors",
    "ModelError": "errors",
    "NodeError": "errors",
    "UnknownNameError": "errors",
    "WorkflowError": "errors",
    "UNKNOWN": "types",
    "ClassList": "types",
    "Expansion": "types",
    "LabelMap": "types",
    "PatchFeatures": "types",
    "TextBank": "types",
    "parse_names": "names",
    "expand_names": "expansion",
    "format_expansion": "expansion_text",
    "load_expansion": "expansion",
    "save_expansion": "expansion",
    "Encoder": "encoder",
    "load_encoder": "encoder",
    "load_backbone": "backbone",
    "build_text_bank": "text_bank",
    "build_patch_features": "patch_features",
    "ScoreMaps": "scores",
    "score_image": "scores",
    "ClassMaps": "class_maps",
    "assemble_classes": "assembly",
    "refine_maps": "refinement",
    "label_pixels": "labels",
    "overlay_image": "rendering",
    "read_image": "files",
    "write_labels": "files",
    "write_result": "files",
    "read_labels": "label_files",
    "compare_labels": "evaluation",
    "format_comparison": "evaluation",
    "SegmentOptions": "pipeline",
    "segment": "pipeline",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
