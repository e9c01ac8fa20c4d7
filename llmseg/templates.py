"""Phrases -> the sentences that the text tower reads.

A frame holds `{}` for the phrase as it is, or `{a}` for the phrase with its article.

Not here: encoding (`text_bank`). Sources: `short7` are the seven ImageNet frames named in OpenAI's CLIP
notebooks, `openai80` all eighty of them (MIT), which SimSeg's evaluator (MIT) repeats to the letter and in
order; `surgery85` adds five of CLIP Surgery (arXiv:2304.05653); `captions6` are frames of the captions that
the embedded model was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from types import MappingProxyType

from .errors import InputError, lookup
from .options import CUSTOM
from .store import content_hash

__all__ = ["TEMPLATES", "Frames", "choose_frames", "fill_templates", "parse_frames"]

Frames = tuple[str, ...]

MOST_FRAMES = 1000
LONGEST_FRAME = 300  # characters; CLIP reads 77 tokens
SHOWN_FRAME = 60  # characters of a frame in a message


def _read_frames(name: str) -> Frames:
    folder = resources.files(__package__).joinpath("data").joinpath("templates")
    return tuple(folder.joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines())


_OPENAI80 = _read_frames("openai80")

TEMPLATES: Mapping[str, Frames] = MappingProxyType(
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
        "openai80": _OPENAI80,
        "surgery85": (
            *_OPENAI80,
            "there is a {} in the scene.",
            "there is the {} in the scene.",
            "this is a {} in the scene.",
            "this is the {} in the scene.",
            "this is one {} in the scene.",
        ),
    }
)


def choose_frames(name: str, custom: str = "") -> tuple[str, Frames]:
    """A template set by name.

    Args:
        name: a name in `TEMPLATES`, or "custom".
        custom: what "custom" means, see `parse_frames`; any other name ignores it.

    Returns:
        A name that says which frames they are, and the frames.

    Raises:
        InputError: no usable frames in `custom`.
        UnknownNameError: no such template set.
    """
    if name != CUSTOM:
        return name, lookup({**TEMPLATES, CUSTOM: ()}, name, place="templates")
    frames = parse_frames(custom)
    return f"{CUSTOM}:{content_hash(frames)[:8]}", frames


def parse_frames(text: str) -> Frames:
    """Read frames that a person typed, one a line; empty lines and repetitions do not count.

    >>> parse_frames("a drawing of {a}\\n\\n{} on a map")
    ('a drawing of {a}', '{} on a map')

    Raises:
        InputError: no frame, too many, one that is too long or does not hold the phrase exactly once.
    """
    lines = {number: " ".join(line.split()) for number, line in enumerate(text.splitlines(), 1)}
    typed = {number: line for number, line in lines.items() if line}
    if not 0 < len(typed) <= MOST_FRAMES:
        raise InputError(
            f"{len(typed) or 'no'} frames; expected 1 to {MOST_FRAMES}, one a line, such as 'a drawing of a {{}}.'",
            place="custom_templates",
        )
    for number, frame in typed.items():
        _check_frame(frame, place=f"custom_templates, line {number}")
    return tuple(dict.fromkeys(typed.values()))


def _check_frame(frame: str, place: str) -> None:
    shown = repr(frame if len(frame) <= SHOWN_FRAME else frame[:SHOWN_FRAME] + "...")
    if len(frame) > LONGEST_FRAME:
        raise InputError(
            f"{shown} has {len(frame)} characters; expected at most {LONGEST_FRAME}. Shorten it.", place=place
        )
    if (places := frame.count("{}") + frame.count("{a}")) != 1:
        raise InputError(
            f"{shown} has {places or 'no'} place{'s' * (places > 1)} for the phrase; "
            "expected one {}, or one {a} for the phrase with its article.",
            place=place,
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
