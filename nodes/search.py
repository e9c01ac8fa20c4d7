"""What else people type to find a node: other words for it, in the search of ComfyUI.

An alias is lower case, differs from the node's own name and title, and means one node rather than the pack. Old names
of a node stay here when it gets a new title.

Not here: titles (the `NODES` of each module), other languages (`locales`).
"""

from __future__ import annotations

SEARCH_ALIASES: dict[str, tuple[str, ...]] = {
    "LLMSegSegment": (
        "semantic segmentation", "segment anything by text", "text to mask", "clipseg", "grounded sam",
        "open vocabulary", "llm segmentation", "mask by prompt",
    ),
    "LLMSegClassNames": ("categories", "labels", "prompt list", "vocabulary", "presets"),
    "LLMSegLLMProfile": ("llm", "openai", "ollama", "lm studio", "api", "chatgpt"),
    "LLMSegExpand": ("subclasses", "synonyms", "hyponyms", "llm supervision", "prompt expansion"),
    "LLMSegEditExpansion": ("edit subclasses", "edit phrases", "change synonyms"),
    "LLMSegLoadExpansion": ("read expansion", "open subclasses", "lock file"),
    "LLMSegSaveExpansion": ("write expansion", "export subclasses", "lock file"),
    "LLMSegEncodeText": ("clip text encode", "text embeddings", "prompt templates", "phrases to vectors"),
    "LLMSegExampleImage": ("sample image", "demo image", "test picture"),
    "LLMSegLoadEncoder": ("load clip", "clip loader", "clip vision loader", "open_clip", "checkpoint"),
    "LLMSegLoadBackbone": ("dino", "dinov2", "load dino", "vision backbone", "proxyclip", "lposs"),
    "LLMSegEncodeImage": (
        "clip vision encode", "dense clip", "image embeddings", "maskclip", "sclip", "naclip", "clearclip",
        "sliding window",
    ),
    "LLMSegScore": ("similarity", "heatmap", "cosine", "compare image and text"),
    "LLMSegAssemble": ("merge phrases", "combine subclasses", "ensemble"),
    "LLMSegRefine": (
        "pamr", "crf", "edge refinement", "bilateral upsampling", "sharpen mask", "guided filter",
        "sam masks", "region voting",
    ),
    "LLMSegSuperpixels": ("slic", "oversegmentation", "image regions", "segment by colour"),
    "LLMSegLabel": ("argmax", "threshold", "decide class", "confidence", "label map"),
    "LLMSegSelectMask": ("mask by name", "get mask", "pick class", "one class"),
    "LLMSegClassMasks": ("all masks", "mask list", "masks per class", "split classes"),
    "LLMSegMaskBatch": ("stack masks", "masks as batch", "union mask", "combine classes"),
    "LLMSegToSEGS": ("impact pack", "segs", "detailer", "regions"),
    "LLMSegBoxes": ("bbox", "bounding box", "crop region", "detection"),
    "LLMSegTable": ("statistics", "areas", "csv", "json report", "count regions"),
    "LLMSegOverlay": ("colour map", "color map", "legend", "visualize segmentation", "contours", "preview mask"),
    "LLMSegExplain": ("which phrase won", "explanation", "attribution", "debug segmentation"),
    "LLMSegSaveLabels": ("export masks", "write labels", "indexed png", "dataset", "annotations", "coco rle"),
    "LLMSegLoadLabels": ("ground truth", "read labels", "indexed png", "import masks", "annotations"),
    "LLMSegEvaluate": ("miou", "iou", "metrics", "accuracy", "confusion", "benchmark"),
}  # fmt: skip
