"""Phrases -> the sentences that the text tower reads.

A frame holds `{}` for the phrase as it is, or `{a}` for the phrase with its article.

Not here: encoding (`text_bank`). Sources: `short7` are the seven ImageNet frames named in OpenAI's
CLIP notebooks; `captions6` are frames of the captions that the embedded model was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

__all__ = ["TEMPLATES", "fill_templates"]

TEMPLATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bare": ("{}",),
        "single": ("a photo of a {}.",),
        "captions6": (
            "{}",
            "{a}",
            "a photo of {a}",
            "a picture of {a}",
            "an image of {a}",
            "a photo of {}",
        ),
        "short7": (
            "itap of a {}.",
            "a bad photo of the {}.",
            "a origami {}.",
            "a photo of the large {}.",
            "a {} in a video game.",
            "art of the {}.",
            "a photo of the small {}.",
        ),
    }
)


def fill_templates(phrase: str, frames: Sequence[str]) -> list[str]:
    """Put a phrase into every frame; by replacement, so that braces in a phrase stay text.

    >>> fill_templates("owl", ["a photo of {a}.", "{}"])
    ['a photo of an owl.', 'owl']
    """
    article = "an " if phrase[:1].lower() in "aeiou" else "a "
    return [
        frame.replace("{a}", article + phrase) if "{a}" in frame else frame.replace("{}", phrase) for frame in frames
    ]
