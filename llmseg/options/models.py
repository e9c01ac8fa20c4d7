"""Options of the CLIP: which one, and how its numbers are kept.

Not here: reading models (`llmseg.models.weights`).
"""

from __future__ import annotations

from types import MappingProxyType

from .kinds import AUTO, Choice, table

__all__ = ["ACTIVATION", "DTYPE", "MODEL"]

MODEL = Choice(
    MappingProxyType(
        {
            "embedded": "small, in this package, knows the emoji world only",
            "ViT-B-16-quickgelu/openai": "photographs; downloads 150 million weights once",
            "ViT-L-14-quickgelu/openai": "photographs; downloads 430 million weights once",
            "ViT-B-16/laion2b_s34b_b88k": "photographs; downloads 150 million weights once",
            "ViT-B-16-quickgelu/metaclip_fullcc": "photographs; downloads 150 million weights once",
            "ViT-B-16-quickgelu/dfn2b": "photographs; downloads 150 million weights once",
            "ViT-H-14/laion2b_s32b_b79k": "photographs, slow; downloads 986 million weights once",
            "ViT-B-16-SigLIP2/webli": "photographs, names in many languages; downloads 375 million weights once",
            "PE-Core-B-16/meta": "photographs; downloads 448 million weights once",
        }
    ),
    default="embedded",
    tooltip="Which CLIP compares phrases with patches. Files in the model folders are listed too. "
    "Two files with a tower each are typed as one: 'vision.safetensors + text.safetensors'.",
)

ACTIVATION = Choice(
    table(
        gelu="exact GELU: LAION, DataComp and most others",
        quickgelu="x * sigmoid(1.702 x): OpenAI, MetaCLIP and most DFN weights",
    ),
    default=AUTO,
    tooltip="The nonlinearity the weights were trained with; the wrong one silently spoils every result.",
    auto=True,
)

DTYPE = Choice(
    table(
        float32="exact",
        float16="half the memory and more speed on GPUs; no gain on most processors",
        bfloat16="as float16 with fewer digits and a wider range",
    ),
    default=AUTO,
    tooltip="Number format of the image tower.",
    auto=True,
)
