"""Options of the expansion: where the phrases of a class come from.

Not here: asking and cleaning (`llmseg.llm`, `llmseg.cleaning`).
"""

from __future__ import annotations

from types import MappingProxyType

from .kinds import Choice, Number, table

__all__ = ["COUNT", "KIND", "LIBRARY", "NETWORK", "PROFILE", "REFRESH", "SENTENCES"]

LIBRARY = Choice(
    table(
        auto="the model's own where it has one, else the first vocabulary that holds all the names, else everyday",
        off="no subclasses",
        # In the order in which auto tries them.
        emoji="42 groups of 406 drawings and 10 backgrounds: the world of the embedded model",
        cityscapes19="Cityscapes: streets seen from a car",
        voc21="PASCAL VOC: 20 things and background",
        context60="PASCAL-Context: 59 things and materials of scenes, and background",
        coco81="COCO: 80 things and background",
        ade150="ADE20K: 150 things and materials of rooms and places",
        cocostuff171="COCO-Stuff: 80 things and 91 materials",
        everyday="some 650 everyday objects, each name for itself",
    ),
    default="auto",
    tooltip="Where subclasses come from.",
)

KIND = Choice(
    table(
        subclasses="kinds that can be told apart in a photo (arXiv:2404.00701)",
        synonyms="other words for the same thing (ITACLIP, arXiv:2411.12044)",
        definitions="one sentence that defines the class (ITACLIP)",
        descriptions="sentences on what the class looks like (CuPL, arXiv:2209.03320)",
    ),
    default="subclasses",
    tooltip="What the language model is asked for.",
)
SENTENCES = frozenset(("definitions", "descriptions"))  # kinds whose phrases are whole sentences

PROFILE = Choice(
    MappingProxyType(
        {
            "openai": "api.openai.com, with the key in OPENAI_API_KEY",
            "ollama": "Ollama on this machine, port 11434",
            "llama.cpp": "llama-server on this machine, port 8080",
            "lmstudio": "LM Studio on this machine, port 1234",
        }
    ),
    default="ollama",
    tooltip="Which language model service is asked. More of them can be named in llmseg.toml.",
)

NETWORK = Choice(
    table(
        online="classes without a stored answer are asked",
        offline="stored answers only; other classes keep their name alone",
        frozen="stored answers only; a class without one is an error",
    ),
    default="online",
    tooltip="Whether language models may be asked.",
)
COUNT = Number(7, 1, 20, 1, "Most phrases that a class keeps of those that the language model proposes.")
REFRESH = Number(0, 0, 1_000_000, 1, "Another number asks for new answers; those of the old number stay stored.")
