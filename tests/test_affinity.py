"""Phrases that a model takes for another class, a repetition or a stranger are dropped; the rest stays."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from llmseg.affinity import judge_affinity
from llmseg.cleaning_rules import CleaningLimits
from llmseg.defaults import EngineDefaults
from llmseg.encoder import Encoder, load_encoder
from llmseg.errors import UnknownNameError
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase

ONE = CleaningLimits(min_keep=1)
NUMBERS = itertools.count()


class FakeEncoder:
    """A text tower that knows a few phrases, each as one given vector; it counts what it reads."""

    name = identity = "fake"
    defaults = EngineDefaults(templates="single")
    device = torch.device("cpu")

    def __init__(self, vectors: Mapping[str, Sequence[float] | Tensor]) -> None:
        self.vectors = {text: normalize(torch.as_tensor(vector).float(), dim=0) for text, vector in vectors.items()}
        self.phrase_cache: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
        self.text_identity = f"fake {next(NUMBERS)}"  # what one of them read is nothing to the others
        self.embed_dim = len(next(iter(self.vectors.values()), ()))
        self.read: list[str] = []

    def unknown_words(self, phrase: str) -> tuple[str, ...]:
        return () if phrase in self.vectors else (phrase,)

    def fits(self, sentence: str) -> bool:
        return len(sentence) < 60

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        phrases = [sentence.removeprefix("a photo of a ").removesuffix(".") for sentence in sentences]
        self.read += phrases
        return torch.stack([self.vectors[phrase] for phrase in phrases])


def flat(degrees: float) -> list[float]:
    """A direction in the plane."""
    angle = torch.tensor(degrees).deg2rad()
    return [angle.cos().item(), angle.sin().item()]


def single(name: str | ClassName, phrases: Iterable[str | Phrase]) -> ClassExpansion:
    owner = ClassName(name) if isinstance(name, str) else name
    return ClassExpansion(owner, tuple(Phrase(item) if isinstance(item, str) else item for item in phrases))


def dropped(expansion: Expansion) -> dict[str, str]:
    return {item.text: item.reason for entry in expansion.classes for item in entry.subclasses if not item.kept}


def twin(expansion: Expansion, encoder: FakeEncoder, margin: float) -> dict[tuple[int, int], str]:
    """Reasons by class and position, one pair of phrases at a time."""
    reasons: dict[tuple[int, int], str] = {}

    def cosine(one: str, other: str) -> float:
        return sum(a * b for a, b in zip(encoder.vectors[one].tolist(), encoder.vectors[other].tolist(), strict=True))

    for label, entry in enumerate(expansion.classes):
        own = entry.class_name.name
        if own not in encoder.vectors:
            continue
        spots = [
            (position, phrase)
            for position, phrase in enumerate(entry.subclasses)
            if phrase.kept and phrase.text in encoder.vectors and phrase.kind in ("subclasses", "synonyms")
        ]
        left = []
        for position, phrase in spots:
            lost = any(
                cosine(phrase.text, own) <= cosine(phrase.text, rival.class_name.name) + margin
                for rival in expansion.classes
                if rival is not entry
                and rival.class_name.name in encoder.vectors
                and rival.class_name.role not in ("background", "residual")
            )
            if lost and phrase.status == "ok":
                reasons[label, position] = "closer_to_other_class"
            else:
                left.append((position, phrase))
        unlike = []
        for number, (position, phrase) in enumerate(left):
            repeated = any(cosine(phrase.text, earlier.text) > 0.95 for _, earlier in left[:number])
            if repeated and phrase.status == "ok" and phrase.kind != "synonyms":
                reasons[label, position] = "near_duplicate"
            else:
                unlike.append((position, phrase))
        if len(unlike) >= 5:
            means = [
                sum(cosine(phrase.text, other.text) for at, other in unlike if at != position) / (len(unlike) - 1)
                for position, phrase in unlike
            ]
            mean = sum(means) / len(means)
            deviation = (sum((value - mean) ** 2 for value in means) / len(means)) ** 0.5
            for value, (position, phrase) in zip(means, unlike, strict=True):
                if value < mean - 2 * deviation and phrase.status == "ok":
                    reasons[label, position] = "outlier"
    return reasons


def random_case(seed: int) -> tuple[Expansion, FakeEncoder]:
    """Seven classes of a five-dimensional world, some unreadable, with phrases of every status and kind."""
    generator = torch.Generator().manual_seed(seed)

    def draw(choices: Sequence[str]) -> str:
        return choices[int(torch.randint(len(choices), (1,), generator=generator))]

    vectors: dict[str, Tensor] = {}
    classes = []
    for label in range(7):
        name = ClassName(f"class {label}", role=draw(("thing", "thing", "stuff", "residual", "background")))
        centre = torch.randn(5, generator=generator)
        if label != 3:
            vectors[name.name] = centre
        phrases = []
        for number in range(int(torch.randint(12, (1,), generator=generator))):
            text = f"kind {number} of {label}"
            spread = 0.4 if number % 4 else 1.2
            if draw("abcdefgh") != "a":
                vectors[text] = centre + spread * torch.randn(5, generator=generator)
            status, kind = (
                draw(("ok", "ok", "ok", "user", "dropped")),
                draw(("subclasses",) * 4 + ("synonyms", "definitions")),
            )
            phrases.append(Phrase(text, status, "before" if status == "dropped" else "", kind=kind))
        classes.append(ClassExpansion(name, tuple(phrases)))
    return Expansion(tuple(classes)), FakeEncoder(vectors)


@pytest.mark.parametrize("margin", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(12))
def test_like_its_slow_twin_and_no_more_the_second_time(seed: int, margin: float) -> None:
    expansion, encoder = random_case(seed)
    limits = CleaningLimits(min_keep=0)
    judged = judge_affinity(expansion, encoder, margin=margin, limits=limits)
    expected = twin(expansion, encoder, margin)
    for label, (before, after) in enumerate(zip(expansion.classes, judged.classes, strict=True)):
        for position, (old, new) in enumerate(zip(before.subclasses, after.subclasses, strict=True)):
            reason = expected.get((label, position))
            assert new == (replace(old, status="dropped", reason=reason) if reason else old)
    assert judge_affinity(judged, encoder, margin=margin, limits=limits) == judged
    twice = judge_affinity(expansion, encoder, margin=margin)
    assert judge_affinity(twice, encoder, margin=margin) == twice


def test_every_reason_occurs_in_the_random_cases() -> None:
    found = {reason for seed in range(12) for reason in twin(*random_case(seed), 0.0).values()}
    assert found == {"closer_to_other_class", "near_duplicate", "outlier"}


WORLD = FakeEncoder(
    {
        "dog": flat(0),
        "cat": flat(90),
        "poodle": flat(20),
        "beagle": flat(-20),
        "lynx dog": flat(44),
        "tabby": flat(50),
        "tabby dog": flat(5),
        "between": flat(45),
        "background": flat(50),
    }
)


def test_the_own_class_has_to_win() -> None:
    proposed = Expansion((single("dog", ("poodle", "beagle", "lynx dog", "tabby")), single("cat", ())))
    assert dropped(judge_affinity(proposed, WORLD)) == {"tabby": "closer_to_other_class"}
    # cos 44 - cos 46 = 0.025
    assert dropped(judge_affinity(proposed, WORLD, margin=0.024)) == {"tabby": "closer_to_other_class"}
    assert dropped(judge_affinity(proposed, WORLD, margin=0.026)) == dict.fromkeys(
        ("lynx dog", "tabby"), "closer_to_other_class"
    )


def test_a_draw_is_not_won() -> None:
    encoder = FakeEncoder({"a": (1, 0), "b": (0, 1), "both": (1, 1)})
    proposed = Expansion((single("a", ("both",)), single("b", ())))
    assert dropped(judge_affinity(proposed, encoder, limits=ONE)) == {"both": "closer_to_other_class"}


def test_what_is_typed_stays_and_counts() -> None:
    typed = (Phrase("tabby", "user"), Phrase("tabby dog", "user"), "poodle", "beagle")
    proposed = Expansion((single("dog", typed), single("cat", ())))
    judged = judge_affinity(proposed, WORLD)
    assert dropped(judged) == {"poodle": "near_duplicate"}  # 15 degrees from "tabby dog": 0.966
    assert judged.classes[0].kept == ("tabby", "tabby dog", "beagle")


def test_encoders_judge_what_encoders_read() -> None:
    read = Phrase("tabby", encoded="tabby dog")
    proposed = Expansion((single("dog", (read, "beagle")), single(ClassName("Katze", english="cat"), ())))
    assert judge_affinity(proposed, WORLD) == proposed


def test_too_few_are_none() -> None:
    proposed = Expansion((single("dog", ("tabby", "poodle")), single("cat", ())))
    assert dropped(judge_affinity(proposed, WORLD)) == {"tabby": "closer_to_other_class", "poodle": "too_few"}
    assert judge_affinity(proposed, WORLD, limits=ONE).classes[0].kept == ("poodle",)


def test_background_and_unreadable_classes_are_no_rivals() -> None:
    strangers = (ClassName("background", role="background"), ClassName("unheard of"))
    proposed = Expansion(
        (single("dog", ("tabby", "never seen")), *(single(name, ("tabby", "x")) for name in strangers))
    )
    judged = judge_affinity(proposed, WORLD)
    assert judged.classes[0] == proposed.classes[0]
    assert judged.classes[2] == proposed.classes[2]


def test_what_the_model_does_not_read_to_its_end_is_left_alone() -> None:
    long = "tabby " * 10
    encoder = FakeEncoder({**WORLD.vectors, long: flat(80)})
    proposed = Expansion((single("dog", (long, "beagle")), single("cat", ()), single(long, ("poodle", "x"))))
    assert judge_affinity(proposed, encoder) == proposed


def test_sentences_are_not_even_read() -> None:
    sentences = (Phrase("tabby", kind="definitions"), Phrase("between", kind="descriptions"))
    encoder = FakeEncoder(WORLD.vectors)
    proposed = Expansion((single("dog", sentences), single("cat", ())))
    assert judge_affinity(proposed, encoder) == proposed
    assert encoder.read == []


def test_synonyms_may_be_alike() -> None:
    words = ("tabby dog", "dog x", "cat x")
    encoder = FakeEncoder({**WORLD.vectors, "dog x": flat(1), "cat x": flat(89)})
    synonyms = Expansion((single("dog", [Phrase(word, kind="synonyms") for word in words]), single("cat", ())))
    assert dropped(judge_affinity(synonyms, encoder)) == {"cat x": "closer_to_other_class"}
    kinds = Expansion((single("dog", words), single("cat", ())))
    assert dropped(judge_affinity(kinds, encoder, limits=ONE)) == {
        "dog x": "near_duplicate",
        "cat x": "closer_to_other_class",
    }


@pytest.mark.parametrize(("count", "strays"), [(5, {}), (6, {"stray": "outlier"})])
def test_a_stranger_among_siblings(count: int, strays: dict[str, str]) -> None:
    # All likes share a direction and have one of their own: cosine 1/2 to each other, 0 to the stray.
    likes = {f"like {number}": torch.eye(9)[0] + torch.eye(9)[number + 1] for number in range(count - 1)}
    encoder = FakeEncoder({"class": torch.eye(9)[0], **likes, "stray": torch.eye(9)[8]})
    proposed = Expansion((single("class", ("stray", *likes)),))
    judged = judge_affinity(proposed, encoder)
    assert dropped(judged) == strays
    assert judge_affinity(judged, encoder) == judged


def test_nothing_to_judge() -> None:
    encoder = FakeEncoder({})
    for proposed in (Expansion(()), Expansion((single("dog", ()),)), Expansion((single("dog", ("x", "y")),))):
        assert judge_affinity(proposed, encoder) == proposed


def test_templates_are_named() -> None:
    proposed = Expansion((single("dog", ("poodle", "beagle")),))
    with pytest.raises(UnknownNameError):
        judge_affinity(proposed, FakeEncoder(WORLD.vectors), templates="nonsense")


@pytest.fixture(scope="module")
def embedded() -> Encoder:
    return load_encoder()


@pytest.mark.parametrize(
    ("names", "phrases", "closer"),
    [
        ("cat, dog, truck", ("tabby", "poodle", "kitten"), "poodle"),
        ("carrot, orange, dog", ("baby carrot", "tangerine"), "tangerine"),
        ("mouse, rodent, keyboard", ("computer mouse", "hamster"), "hamster"),
        ("car, boat", ("taxi", "sedan", "sailboat"), "sailboat"),
    ],
)
def test_the_embedded_model_tells_classes_apart(
    names: str, phrases: tuple[str, ...], closer: str, embedded: Encoder
) -> None:
    first, *others = names.split(", ")
    known = [text for text in phrases if not embedded.unknown_words(text)]
    assert closer in known
    proposed = Expansion((single(first, phrases), *(single(name, ()) for name in others)))
    judged = judge_affinity(proposed, embedded, limits=ONE)
    assert dropped(judged)[closer] == "closer_to_other_class"
    assert judged.classes[0].kept
    assert judge_affinity(judged, embedded, limits=ONE) == judged


def test_words_that_the_embedded_model_never_saw_are_left_alone(embedded: Encoder) -> None:
    # The published slip "distant" for a remote control cannot be judged by a model that knows neither word.
    proposed = Expansion((single("dog", ("distant", "percale")), single("cat", ())))
    assert judge_affinity(proposed, embedded) == proposed
