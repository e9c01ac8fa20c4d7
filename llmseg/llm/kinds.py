"""The table of things a language model can be asked for: rules, form of the answer, examples.

One entry a kind. The rules and the form go into the prompt whatever the endpoint can enforce,
since a model does not see an enforced schema.

Not here: sending (`asking`), repairing what comes back (`replies`), judging it (`cleaning`).
Sources: subclasses arXiv:2404.00701 and CHiLS (arXiv:2302.02551); synonyms and definitions ITACLIP
(arXiv:2411.12044); descriptions CuPL (arXiv:2209.03320). The wording is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..errors import ReplyError
from .questions import Answer, Question

__all__ = ["FITS_OTHER", "KINDS", "PROMPT_VERSION", "Kind"]

FITS_OTHER = "fits_other_class: "  # stands before the name that a critic gives

PROMPT_VERSION = "1"  # goes up when a wording or a form changes: stored answers then count no more

MOST_PHRASES = 100  # of one class, whatever a reply holds
LONGEST_PHRASE = 1000  # characters; the cleaner decides what is too long, this keeps a hostile reply small


@dataclass(frozen=True)
class Kind:
    """One thing that can be asked for.

    Args:
        rules: the system prompt.
        task: heads the list of classes; `{count}` is the most phrases of one.
        fields: JSON schema of an answer's fields besides its id.
        line: what stands in the list after a class and its sense.
        read: fields of a reply as an `Answer`; raises `ReplyError` where they have another form.
        examples: (class name, fields) outside most vocabularies.
    """

    rules: str
    task: str
    fields: Mapping[str, Any]
    line: Callable[[Question], str]
    read: Callable[[Mapping[str, Any], Question], Answer]
    examples: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    def schema(self, count: int) -> dict[str, Any]:
        """JSON schema of a whole reply, in the strict form: every field required, no other allowed."""
        fields = {"id": {"type": "string"}, **self.fields}
        fields = {
            name: {**form, "maxItems": count} if form["type"] == "array" else form for name, form in fields.items()
        }
        return _object({"items": {"type": "array", "items": _object(fields)}})


def _object(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": dict(fields), "required": list(fields), "additionalProperties": False,
    }  # fmt: skip


_TEXT = {"type": "string"}
_LIST = {"type": "array", "items": _TEXT}
_POLICY = {"type": "string", "enum": ["expand", "keep"]}
_VERDICT = _object(
    {
        "phrase": _TEXT,
        "kind_of_class": {"type": "boolean"},
        "other_class": {"type": ["string", "null"]},
        "visible": {"type": "boolean"},
    }
)

_WHO = (
    "You write label vocabularies for an image segmentation system. A vision model compares short English noun "
    "phrases with regions of a picture. "
)

_SUBCLASS_RULES = (
    _WHO + "For every TARGET class give subclasses: kinds of that class that a person could tell apart in one photo "
    "by shape, colour, material or parts.\n"
    "Rules.\n"
    "1. Every subclass is a true kind of its class: a photo of the subclass is always a photo of the class.\n"
    "2. Use the meaning given as SENSE. Where none is given, choose the one that fits the other classes of "
    "VOCABULARY, and report it in at most 12 words.\n"
    "3. Never give a name, synonym, part, container, place or plural of any class in VOCABULARY, and never a kind "
    "that fits two classes of VOCABULARY.\n"
    "4. Visible differences only: no brands, prices, quality, hidden technology, owners, uses, events or numbers.\n"
    "5. One to four words, lower case, singular, no article, no punctuation but hyphens. Where the phrase alone does "
    "not make the class obvious, end it with the class word.\n"
    "6. Spread over the looks that the class has in everyday photos, the most common first, no two nearly the same.\n"
    '7. A class that is narrow already, is "background" or means "everything else" gets policy "keep" and no '
    "subclasses.\n"
    "8. Few good subclasses are better than many weak ones."
)


def _texts(fields: Mapping[str, Any], key: str, question: Question) -> tuple[str, ...]:
    value = fields.get(key)
    if not isinstance(value, list):
        raise ReplyError(f"{key!r} of class {question.name!r} is no list; expected a list of texts.")
    texts = [text[:LONGEST_PHRASE] for text in value[:MOST_PHRASES] if isinstance(text, str) and text.strip()]
    if value and not texts:
        raise ReplyError(f"{key!r} of class {question.name!r} holds no text; expected texts.")
    return tuple(texts)


def _read_subclasses(fields: Mapping[str, Any], question: Question) -> Answer:
    sense, policy = fields.get("sense"), fields.get("policy")
    phrases = _texts(fields, "subclasses", question)
    return Answer(
        phrases,
        sense=_sense(sense) if isinstance(sense, str) else "",
        policy="keep" if policy == "keep" and not phrases else "expand",
    )


def _sense(text: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in text[:LONGEST_PHRASE])
    return " ".join(line.split()[:12]).strip("- ")


def _read_list(key: str) -> Callable[[Mapping[str, Any], Question], Answer]:
    return lambda fields, question: Answer(_texts(fields, key, question))


def _read_one(key: str) -> Callable[[Mapping[str, Any], Question], Answer]:
    def read(fields: Mapping[str, Any], question: Question) -> Answer:
        value = fields.get(key)
        if not isinstance(value, str) or not value.strip():
            raise ReplyError(f"{key!r} of class {question.name!r} is no text; expected one.")
        return Answer((value.strip()[:LONGEST_PHRASE],))

    return read


def _read_verdicts(fields: Mapping[str, Any], question: Question) -> Answer:
    verdicts = fields.get("verdicts")
    if not isinstance(verdicts, list):
        raise ReplyError(f"'verdicts' of class {question.name!r} is no list; expected one verdict a phrase.")
    wanted, rejected = set(question.phrases), {}
    for verdict in verdicts[:MOST_PHRASES]:
        if isinstance(verdict, dict) and isinstance(verdict.get("phrase"), str) and verdict["phrase"] in wanted:
            if verdict.get("kind_of_class") is False:
                rejected[verdict["phrase"]] = "not_a_kind"
            elif verdict.get("visible") is False:
                rejected[verdict["phrase"]] = "not_in_photo"
            elif isinstance(verdict.get("other_class"), str) and verdict["other_class"].strip():
                # Which words name a class is decided where the classes are known: models write "none", or "animal".
                rejected[verdict["phrase"]] = f"{FITS_OTHER}{verdict['other_class'].strip()[:LONGEST_PHRASE]}"
    return Answer(tuple(rejected), reasons=tuple(rejected.values()))


def _nothing(question: Question) -> str:
    return ""


def _refill_line(question: Question) -> str:
    rejected = "; ".join(f"{phrase} ({reason})" for phrase, reason in question.rejected)
    return f" | ALREADY KEPT: {'; '.join(question.phrases) or '-'} | REJECTED AND WHY: {rejected or '-'}"


_SUBCLASSES = Kind(
    _SUBCLASS_RULES,
    "TARGETS (up to {count} subclasses each)",
    {"sense": _TEXT, "policy": _POLICY, "subclasses": _LIST},
    _nothing,
    _read_subclasses,
    (
        ("lantern", {"sense": "portable lamp", "policy": "expand", "subclasses": ["paper lantern", "camping lantern"]}),
        ("gravel", {"sense": "loose stones", "policy": "expand", "subclasses": ["white gravel", "grey gravel"]}),
        ("kettle", {"sense": "pot to boil water", "policy": "expand", "subclasses": ["steel kettle", "tea kettle"]}),
        ("moss", {"sense": "low green plant", "policy": "expand", "subclasses": ["cushion moss", "hanging moss"]}),
    ),
)  # fmt: skip

# The first four are `options.KIND`; the others serve them.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "subclasses": _SUBCLASSES,
        "synonyms": Kind(
            _WHO + "For every TARGET class give other words for exactly the same thing: synonyms, not kinds, not "
            "larger groups. One or two words, lower case, singular. Use the meaning given as SENSE, else the one that "
            "fits the other classes of VOCABULARY. Never a word that also fits another class of VOCABULARY. A class "
            "without a good synonym gets an empty list.",
            "TARGETS (up to {count} synonyms each)",
            {"synonyms": _LIST},
            _nothing,
            _read_list("synonyms"),
            (("lantern", {"synonyms": ["hand lamp"]}), ("gravel", {"synonyms": ["shingle"]})),
        ),
        "definitions": Kind(
            _WHO + "For every TARGET class give one short definition that says what the thing looks like, as one "
            "English sentence of at most 30 words that begins with the class word. Use the meaning given as SENSE, "
            "else the one that fits the other classes of VOCABULARY.",
            "TARGETS (one definition each)",
            {"definition": _TEXT},
            _nothing,
            _read_one("definition"),
            (("lantern", {"definition": "A lantern is a lamp with a clear case and a handle."}),),
        ),
        "descriptions": Kind(
            _WHO + "For every TARGET class describe what it looks like in a photo: different English sentences of at "
            "most 25 words, each complete in itself and naming the class, about shape, colour, material, parts or "
            "surroundings. Use the meaning given as SENSE, else the one that fits the other classes of VOCABULARY.",
            "TARGETS (up to {count} sentences each)",
            {"descriptions": _LIST},
            _nothing,
            _read_list("descriptions"),
            (("gravel", {"descriptions": ["A grey path of gravel made of many small round stones."]}),),
        ),
        "translate": Kind(
            _WHO + "The TARGET classes are written in another language. For each give the English name of the thing, "
            "one to three words, lower case, singular, in the meaning that fits the other classes of VOCABULARY. "
            "A name that is English already stays as it is.",
            "TARGETS (one English name each)",
            {"english": _TEXT},
            _nothing,
            _read_one("english"),
        ),
        "refill": Kind(
            _SUBCLASS_RULES + "\nSome subclasses were rejected; the reason stands beside each. Give replacements that "
            "none of these reasons fits, different from those kept.",
            "TARGETS (up to {count} replacements each)",
            _SUBCLASSES.fields,
            _refill_line,
            _read_subclasses,
        ),
        "critic": Kind(
            _WHO + "You check subclasses that somebody else proposed. For every phrase of every TARGET class say: "
            "kind_of_class: is it always a true kind of the class, in its SENSE? other_class: the one other class of "
            "VOCABULARY that it fits as well, else null. visible: can it be told from other kinds in a photo? Judge "
            "every phrase, and repeat it exactly.",
            "TARGETS (one verdict for each phrase)",
            {"verdicts": {"type": "array", "items": _VERDICT}},
            lambda question: f" | PHRASES: {'; '.join(question.phrases)}",
            _read_verdicts,
        ),
    }
)
