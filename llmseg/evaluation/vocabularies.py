"""The phrases of a column: those of a list, or of a control that is judged against one.

    off             class names alone
    auto, voc21 ..  a shipped library, as in `expansion.expand_from_library`
    a path          an expansion file; a class that it does not hold keeps its name alone
    placebo ..      a name in `options.CONTROL`, made from the list after a colon, else from that of auto

A data set's own aliases help to find a class in a list and are no phrases, but in the control that consists of them:
else no column would show what a class name does alone.

Not here: vectors (`text_bank`). Sources: placebo after WaffleCLIP (arXiv:2306.07282), with words that mean nothing
instead of random ones; aliases as in SCLIP's lists (arXiv:2312.01597).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from ..cleaning import judge_expansion
from ..cleaning_rules import EXACT_RULES
from ..errors import InputError, UnknownNameError, lookup
from ..expansion import expand_from_library, load_expansion
from ..folding import fold
from ..library import choose_library, library_index, load_library
from ..options import CONTROL, LIBRARY
from ..store import is_file
from ..types import ClassExpansion, ClassList, ClassName, Expansion, Phrase

__all__ = ["CONTROLS", "Vocabulary", "expand_column", "is_control", "phrases_in_use"]

# They name nothing that a picture shows; those that a model was never shown are left out.
NEUTRAL = ("photo", "picture", "image", "scene", "front", "view", "side", "sample", "copy", "example")
FILE_SUFFIX = ".json"


@dataclass(frozen=True)
class Vocabulary:
    """What phrases are taken from.

    Args:
        classes: of the data set.
        own_library: what "auto" means for the model, as in `expansion.expand_names`.
        knows: whether the model was shown every word of a phrase.
        published: names by class, as a protocol was published with.
    """

    classes: ClassList
    own_library: str = ""
    knows: Callable[[str], bool] = bool
    published: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def expand_column(vocabulary: Vocabulary, source: str, count: int | None = None, seed: int = 0) -> Expansion:
    """The phrases that a column uses, of which the model knows every word.

    Args:
        vocabulary: the classes and what is known of the model.
        source: off, a library, the path of a file, or a control, as the module says.
        count: how many of each class are kept, the first ones; None for all.
        seed: of what a control draws.

    Raises:
        UnknownNameError: no such library or control, and no file.
        InputError: a file that cannot be read, or a control that has nothing to be made of.
    """
    control, _, base = source.partition(":")
    if control in CONTROL.names:
        made = lookup(CONTROLS, control, place="expansion")(vocabulary, base or LIBRARY.default, seed)
    else:
        made = _expand_list(vocabulary, source)
    return Expansion(tuple(_shorten(entry, vocabulary, count) for entry in made.classes), made.provenance)


def is_control(source: str) -> bool:
    """Whether an expansion is there to judge others by: class names alone are one too."""
    return source == "off" or source.partition(":")[0] in CONTROL.names


def phrases_in_use(expansion: Expansion) -> list[list[object]]:
    """Everything of an expansion that vectors depend on, as plain lists; one of each class."""
    return [
        [entry.class_name.wording, list(entry.class_name.aliases), [[_read(p), p.kind] for p in entry.subclasses]]
        for entry in expansion.classes
    ]


def _read(phrase: Phrase) -> str:
    return phrase.encoded or phrase.text


def _shorten(entry: ClassExpansion, vocabulary: Vocabulary, count: int | None) -> ClassExpansion:
    kept = [phrase for phrase in entry.subclasses if phrase.kept and vocabulary.knows(_read(phrase))]
    return replace(entry, subclasses=tuple(kept[:count]))


def _expand_list(vocabulary: Vocabulary, source: str) -> Expansion:
    """A library, a file, or none."""
    if source in LIBRARY.names:
        expansion = expand_from_library(vocabulary.classes, source, vocabulary.own_library)
        return replace(expansion, classes=tuple(replace(e, class_name=_bare(e.class_name)) for e in expansion.classes))
    return _expand_file(vocabulary.classes, _file(source))


def _file(source: str) -> Path:
    path = Path(source)
    if not path.name.endswith(FILE_SUFFIX) and not is_file(path):
        raise UnknownNameError(source, [*LIBRARY.names, *CONTROL.names, "a file"], place="expansion")
    return path


def _expand_file(classes: ClassList, path: Path) -> Expansion:
    """What a file says of each class, its aliases and policies too, as the product would use it."""
    loaded = load_expansion(path)
    find = _finder(loaded.classes)
    entries = []
    for name in classes.classes:
        found = find(name)
        if found is None:
            entries.append(ClassExpansion(_bare(name)))
        else:
            own = found.class_name
            english = own.english or name.english
            named = replace(name, aliases=own.aliases, policy=own.policy, english=english)
            entries.append(ClassExpansion(named, found.subclasses))
    return judge_expansion(Expansion(tuple(entries), {"source": path.name}), EXACT_RULES)


def _finder(entries: tuple[ClassExpansion, ...]) -> Callable[[ClassName], ClassExpansion | None]:
    """Find a class by any of its names."""
    index: dict[str, ClassExpansion] = {}
    for entry in entries:
        for wording in _wordings(entry.class_name):
            index.setdefault(fold(wording), entry)
    return lambda name: next((index[fold(w)] for w in _wordings(name) if fold(w) in index), None)


def _wordings(name: ClassName) -> tuple[str, ...]:
    return (name.name, name.wording, *name.aliases)


def _bare(name: ClassName) -> ClassName:
    return replace(name, aliases=())


def _placebo(vocabulary: Vocabulary, base: str, seed: int) -> Expansion:
    """As many phrases as a list has of a class that the model knows, each the name and a neutral word or two."""
    words = [word for word in NEUTRAL if vocabulary.knows(word)]
    random.Random(seed).shuffle(words)
    entries = []
    for entry in expand_column(vocabulary, base).classes:
        name = _bare(entry.class_name)
        endings = itertools.islice(_endings(words, name.wording), len(entry.subclasses))
        phrases = tuple(Phrase(f"{name.wording} {ending}", source="placebo") for ending in endings)
        if len(phrases) < len(entry.subclasses):
            problem = f"{len(words)} neutral words known to the model, {len(entry.subclasses)} phrases of {name.name!r}"
            raise InputError(f"{problem}; expected words enough.", place="placebo")
        entries.append(ClassExpansion(name, phrases))
    return Expansion(tuple(entries), {"source": f"placebo of {base}"})


def _endings(words: list[str], name: str) -> Iterator[str]:
    """Single words, then pairs, then triples, without those that the name holds."""
    others = [word for word in words if word not in name.casefold().split()]
    for length in (1, 2, 3):
        yield from map(" ".join, itertools.permutations(others, length))


def _shuffled(vocabulary: Vocabulary, base: str, seed: int) -> Expansion:
    """Every class that has a list with that of another, all turned by the same step."""
    entries = expand_column(vocabulary, base).classes
    listed = [number for number, entry in enumerate(entries) if entry.subclasses]
    if len(listed) < 2:
        raise InputError(f"{len(listed)} classes with a list in {base!r}; expected at least two.", place="shuffled")
    step = random.Random(seed).randrange(1, len(listed))
    lists = {number: entries[listed[(at + step) % len(listed)]].subclasses for at, number in enumerate(listed)}
    turned = (ClassExpansion(_bare(entry.class_name), lists.get(number, ())) for number, entry in enumerate(entries))
    return Expansion(tuple(turned), {"source": f"shuffled {base}"})


def _aliases(vocabulary: Vocabulary, base: str, seed: int) -> Expansion:
    """The aliases that the data set and a list know; they do not depend on the seed."""
    find = _finder(_list_entries(vocabulary, base))
    entries = []
    for name in vocabulary.classes.classes:
        found = find(name)
        texts = dict.fromkeys((*name.aliases, *(found.class_name.aliases if found else ())))
        phrases = tuple(Phrase(text, source=f"aliases of {base}") for text in texts)
        entries.append(ClassExpansion(_bare(name), phrases))
    if not any(entry.subclasses for entry in entries):
        raise InputError(f"no class has another name in {base!r}; expected some.", place="aliases")
    return judge_expansion(Expansion(tuple(entries), {"source": f"aliases of {base}"}), EXACT_RULES)


def _list_entries(vocabulary: Vocabulary, base: str) -> tuple[ClassExpansion, ...]:
    """The classes of a library or a file as they stand there."""
    if base not in LIBRARY.names:
        return load_expansion(_file(base)).classes
    name = choose_library(vocabulary.classes, vocabulary.own_library) if base == "auto" else base
    if name == "off":
        return ()
    library, index = load_library(name).classes, library_index(name)
    found = []
    for wanted in vocabulary.classes.classes:
        position = next((index[fold(w)] for w in _wordings(wanted) if fold(w) in index), None)
        if position is not None:
            # Under the name that is asked for: a data set's own id is no wording of the library.
            own = library[position].class_name
            others = tuple(text for text in (own.name, *own.aliases) if fold(text) != fold(wanted.name))
            found.append(ClassExpansion(replace(wanted, aliases=others)))
    return tuple(found)


def _published(vocabulary: Vocabulary, base: str, seed: int) -> Expansion:
    """A protocol's names for each class; they depend on no list and no seed."""
    if not vocabulary.published:
        problem = "no protocol with names of its own; expected --protocol with one that was published with some."
        raise InputError(problem, place="published")
    names = {fold(name): texts for name, texts in vocabulary.published.items()}
    entries = [
        ClassExpansion(_bare(name), tuple(Phrase(text, source="protocol") for text in names.get(fold(name.name), ())))
        for name in vocabulary.classes.classes
    ]
    return Expansion(tuple(entries), {"source": "published"})


CONTROLS: Mapping[str, Callable[[Vocabulary, str, int], Expansion]] = MappingProxyType(
    {"placebo": _placebo, "shuffled": _shuffled, "aliases": _aliases, "published": _published}
)
