"""The records that flow from class names to a label map, in that order.

Shape letters, used in every docstring: B images, C classes, K phrases, D embedding width,
H, W pixels, h, w patches, N windows per image.

Not here: how a record is made (the module named after the stage) or drawn and saved
(`rendering`, `files`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .defaults import EngineDefaults
from .errors import UnknownNameError
from .windows import WindowPlan

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "UNKNOWN",
    "ClassExpansion",
    "ClassList",
    "ClassName",
    "Expansion",
    "LabelMap",
    "Level",
    "PatchFeatures",
    "Phrase",
    "TextBank",
]

UNKNOWN = -1  # label of a pixel that belongs to no class


@dataclass(frozen=True)
class ClassName:
    """One thing the user asks for.

    Args:
        name: as typed, spaces collapsed.
        aliases: other names for the same thing.
        sense: a few words that tell meanings apart; empty when there is no doubt.
        role: thing, stuff, background, residual, or negative: competes, and is then left out of the result.
        policy: expand, or keep (never split into subclasses).
        english: what encoders read, where the name is in another language; empty for the name itself.
    """

    name: str
    aliases: tuple[str, ...] = ()
    sense: str = ""
    role: str = "thing"
    policy: str = "expand"
    english: str = ""

    @property
    def wording(self) -> str:
        """The name as encoders and language models read it."""
        return self.english or self.name


@dataclass(frozen=True)
class ClassList:
    """The classes of one segmentation; the position is the label. C of them."""

    classes: tuple[ClassName, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The class names in label order. [C]"""
        return tuple(entry.name for entry in self.classes)

    @property
    def wordings(self) -> tuple[str, ...]:
        """The class names as encoders and language models read them. [C]"""
        return tuple(entry.wording for entry in self.classes)

    @property
    def shown(self) -> ClassList:
        """Without those at the end that only compete: role negative."""
        return ClassList(tuple(entry for entry in self.classes if entry.role != "negative"))

    @property
    def background(self) -> int | None:
        """Label of the background class; None when nobody asked for one."""
        return next((i for i, entry in enumerate(self.classes) if entry.role == "background"), None)


@dataclass(frozen=True)
class Phrase:
    """One wording for a class.

    Args:
        text: the wording.
        status: ok, user (typed by a person) or dropped.
        reason: why it was dropped; empty otherwise.
        source: who proposed it: library, text, file, or an LLM.
        kind: what it is to the class, a name in `options.KIND`.
        encoded: what encoders read instead of the text; empty for the text itself.
    """

    text: str
    status: str = "ok"
    reason: str = ""
    source: str = ""
    kind: str = "subclasses"
    encoded: str = ""

    @property
    def kept(self) -> bool:
        """Whether it is in use."""
        return self.status != "dropped"


@dataclass(frozen=True)
class ClassExpansion:
    """A class and the subclasses proposed for it, dropped ones included.

    Args:
        class_name: the class.
        subclasses: in the order in which they were proposed.
        status: ok, or fallback where a language model was to be asked and gave no answer.
        reason: why it is a fallback.
    """

    class_name: ClassName
    subclasses: tuple[Phrase, ...] = ()
    status: str = "ok"
    reason: str = ""

    @property
    def kept(self) -> tuple[str, ...]:
        """Texts of the subclasses in use."""
        return tuple(phrase.text for phrase in self.subclasses if phrase.kept)


@dataclass(frozen=True)
class Expansion:
    """What every class was split into, and where that came from."""

    classes: tuple[ClassExpansion, ...]
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def class_list(self) -> ClassList:
        """The classes that were expanded, in label order."""
        return ClassList(tuple(entry.class_name for entry in self.classes))


@dataclass(frozen=True)
class TextBank:
    """Encoded phrases.

    Args:
        embeddings: one unit vector per phrase. [K,D]
        class_index: class of each phrase, 0..C-1, ascending. [K]
        name_embeddings: one unit vector per class name. [C,D]
        classes: the class names behind 0..C-1.
        phrases: the wording behind 0..K-1.
        templates: name of the template set.
        model: identity of the encoder.
        dropped: (class name, phrase, reason) of subclasses that could not be encoded.
        weights: how much each phrase counts, above 0; None where all count alike. [K]
    """

    embeddings: Tensor
    class_index: Tensor
    name_embeddings: Tensor
    classes: ClassList
    phrases: tuple[str, ...]
    templates: str
    model: str
    dropped: tuple[tuple[str, str, str], ...] = ()
    weights: Tensor | None = None


@dataclass(frozen=True)
class Level:
    """Images at one scale, encoded window by window.

    Args:
        windows: unit features of every window, or the mean of two where mirror images were looked at.
            [B,ny,nx,h,w,D]
        plan: where the windows lie.
    """

    windows: Tensor
    plan: WindowPlan

    @property
    def grid(self) -> tuple[int, int]:
        """Patches of the whole image, height first, where windows lie on the patch grid."""
        patch = self.plan.window[0] // self.plan.cells[0]
        return self.plan.size[0] // patch, self.plan.size[1] // patch


@dataclass(frozen=True)
class PatchFeatures:
    """Encoded images, all of one size.

    Args:
        levels: the images at every scale, the finest first; maps are made on its grid.
        see_whole: gives the unit CLS embedding of the whole images, last block unmodified. [B,D]
        size: pixels of the original image, height first. (H, W)
        model: identity of the encoder; features and text must come from the same one.
        defaults: what "auto" means for that encoder.
        aligned: whether all windows lie on the patch grid.
    """

    levels: tuple[Level, ...]
    see_whole: Callable[[], Tensor]
    size: tuple[int, int]
    model: str
    defaults: EngineDefaults
    aligned: bool = True


@dataclass(frozen=True)
class LabelMap:
    """The decision: one label per pixel.

    Args:
        labels: class of each pixel, `UNKNOWN` (-1) where none is sure enough. int64 [B,H,W]
        names: class names behind 0..C-1.
        palette: one RGB colour per class, 0..255. [C] of 3
        confidence: probability of the most likely class. [B,H,W]
        winning_phrase: index into `phrases`, -1 for the class name itself or unknown. [B,H,W]
        phrases: the wordings that competed. [K]
    """

    labels: Tensor
    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    confidence: Tensor
    winning_phrase: Tensor
    phrases: tuple[str, ...] = ()

    def mask(self, name: str) -> Tensor:
        """Where one class is. bool [B,H,W]

        Raises:
            UnknownNameError: no class of that name.
        """
        return self.labels == self.index(name)

    def index(self, name: str) -> int:
        """Label of a class by name, ignoring case and outer spaces.

        Raises:
            UnknownNameError: no class of that name.
        """
        wanted = " ".join(name.split()).casefold()
        for label, candidate in enumerate(self.names):
            if candidate.casefold() == wanted:
                return label
        raise UnknownNameError(name, self.names, place="class_name")

    def area(self) -> dict[str, float]:
        """Share of all pixels per class, 0..1, in label order."""
        known = self.labels[self.labels >= 0]
        shares = known.bincount(minlength=len(self.names)) / self.labels.numel()
        return dict(zip(self.names, shares.tolist(), strict=True))
