"""Answers that were paid for, kept: one readable JSON file a class and request, shared by all processes.

    answers/<model>/<kind>/<class>-<key>.json    what was asked, the answer, and where it came from
    replies/<id>.json                            bodies as they came, once their answers are stored
    inbox/<id>.json                              bodies whose answers are not stored yet
    locks/<key>.lock                             a class that some process is asking for now
    endpoints/<key>.json                         parameters that an endpoint refuses

A body is written to the inbox before anybody reads it; whoever comes next, after a crash too, takes
the answers out of it. A key names what was asked, not the other classes: an answer outlives them. Only the
critic, who speaks of the others, is asked anew when they change.

Not here: asking (`asking`), the folder of the user (`store.user_folder`).
"""

from __future__ import annotations

import json
import logging
import re
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, ReplyError
from ..store import content_hash, read_text, try_lock, user_folder, write_json
from .kinds import KINDS, PROMPT_VERSION
from .profiles import LanguageModel
from .questions import Answer, Context, Question, answer_from, context_from, question_from, to_plain
from .replies import Message, match_answers, read_message

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["AnswerStore", "Settled", "read_body"]

logger = logging.getLogger("llmseg")

SCHEMA = 1
MOST_REMEMBERED = 10_000  # answers that this process has read, so that it need not read them again
UNREADABLE = (KeyError, TypeError, RecursionError)  # what taking a damaged record apart raises

_remembered: dict[Path, tuple[tuple[int, int], Answer]] = {}  # with the time and size of the file


@dataclass(frozen=True)
class Settled:
    """What a body held.

    Args:
        answers: by position of the question.
        problems: what is wrong with the rest.
        message: what the model said.
        readable: whether it was a chat completion at all.
    """

    answers: dict[int, Answer] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    message: Message = field(default_factory=lambda: Message(""))
    readable: bool = True


class AnswerStore:
    """The answers of one language model.

    Args:
        language_model: who answers.
        root: folder of the store; None for that of the user.
    """

    def __init__(self, language_model: LanguageModel, root: Path | None = None) -> None:
        self.root = root or user_folder("data")
        self._who = {"base_url": language_model.profile.base_url, "model": language_model.model}
        self._folder = self.root / "answers" / f"{_slug(language_model.model)}-{content_hash(self._who)[:8]}"
        self._endpoint = self.root / "endpoints" / f"{content_hash(self._who)[:16]}.json"

    def key(self, question: Question, context: Context) -> str:
        """What an answer is found by, as 64 hex digits."""
        asked = {**vars(question), **_shared(context), **self._who, "schema": SCHEMA, "prompt": PROMPT_VERSION}
        if question.kind != "translate":
            del asked["language"]
        return content_hash(asked)

    def get(self, question: Question, context: Context) -> Answer | None:
        """A stored answer, None where there is none that can be read."""
        key = self.key(question, context)
        path = self._path(question, key)
        try:
            stat = path.stat()
        except OSError:
            return None
        stamp = (stat.st_mtime_ns, stat.st_size)
        if (known := _remembered.get(path)) is not None and known[0] == stamp:
            return known[1]
        stored = _read(path)
        try:
            if stored["key"] != key:
                raise KeyError(key)
            answer = answer_from(stored["answer"])
        except UNREADABLE:
            logger.warning("%s cannot be read; the class is asked again.", path)
            return None
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        _remembered[path] = (stamp, answer)
        return answer

    def put(self, question: Question, context: Context, answer: Answer, source: Mapping[str, object]) -> None:
        """Keep an answer, with what it was asked by and where it came from."""
        key = self.key(question, context)
        record = {
            "schema": SCHEMA, "key": key, "asked": to_plain(question), "context": _shared(context),
            "answer": to_plain(answer), "source": {**self._who, "prompt": PROMPT_VERSION, **source},
        }  # fmt: skip
        path = self._path(question, key)
        write_json(path, record)
        _remembered.pop(path, None)  # two files of one size within one tick of the clock look the same

    def claim(self, question: Question, context: Context) -> BaseFileLock | None:
        """The right to ask a question, None while another process has it."""
        return try_lock(self.root / "locks" / f"{self.key(question, context)[:32]}.lock")

    def release(self, lock: BaseFileLock, *, answered: bool) -> None:
        """Give the right back; the file goes where an answer makes it useless."""
        if answered:  # while still held: who gets hold of a removed file looks for the answer first, and finds it
            with suppress(OSError):
                Path(lock.lock_file).unlink()
        lock.release()

    def receive(self, body: str, questions: Sequence[Question], context: Context, sent: Mapping[str, object]) -> Path:
        """Write down a body as it came, before anybody reads it.

        Returns:
            The file in the inbox, for `settle`.
        """
        record = {
            "schema": SCHEMA, **self._who, "received": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "sent": dict(sent), "context": _shared(context),
            "questions": [to_plain(question) for question in questions], "body": body,
        }  # fmt: skip
        path = self.root / "inbox" / f"{content_hash(record, time.time_ns())[:32]}.json"
        write_json(path, record)
        return path

    def settle(self, path: Path) -> Settled:
        """Store what a body of the inbox answers, and file the body."""
        filed = self.root / "replies" / path.name
        settled = Settled()
        with suppress(*UNREADABLE):  # a file that is no record of ours holds no answers
            # Another process may have taken it out of the inbox meanwhile; its answers are ours too.
            settled = self._store_answers(_read(path) or _read(filed), path.stem)
        with suppress(OSError):
            filed.parent.mkdir(parents=True, exist_ok=True)
            path.replace(filed)
        return settled

    def _store_answers(self, record: Mapping[str, Any], reply: str) -> Settled:
        questions, context = [_question(item) for item in record["questions"]], context_from(record["context"])
        settled = read_body(record["body"], questions)
        source = {"reply": reply, "answered_by": settled.message.model, "received": record["received"]}
        for position, answer in settled.answers.items():
            self.put(questions[position], context, answer, source)
        return settled

    def recover(self) -> int:
        """Store the answers of bodies that a killed process left behind; how many bodies there were."""
        waiting = [path for path in self._inbox() if {key: _read(path).get(key) for key in self._who} == self._who]
        for path in waiting:
            self.settle(path)
        return len(waiting)

    def refused(self) -> tuple[str, ...]:
        """Parameters of a request that the endpoint is known to refuse for this model."""
        listed = _read(self._endpoint).get("refused", []) if self._endpoint.is_file() else []
        return tuple(item for item in listed if isinstance(item, str)) if isinstance(listed, list) else ()

    def note_refused(self, parameter: str) -> None:
        """Remember a refused parameter."""
        write_json(self._endpoint, {**self._who, "refused": sorted({*self.refused(), parameter})})

    def _inbox(self) -> Iterator[Path]:
        folder = self.root / "inbox"
        yield from sorted(folder.glob("*.json")) if folder.is_dir() else ()

    def _path(self, question: Question, key: str) -> Path:
        name = f"{_slug(question.name)}-{key[:16]}.json"
        return Path(f"{self._folder}/{question.kind}/{name}")  # in one go: joining paths is slow, and there are many


def read_body(body: str, questions: Sequence[Question]) -> Settled:
    """What a body answers, without any file."""
    try:
        message = read_message(body)
    except ReplyError as error:
        return Settled(problems=[error.problem], readable=False)
    return Settled(*match_answers(message.text, questions), message)


@lru_cache(maxsize=1000)
def _slug(text: str) -> str:
    """A text as part of a file name that every system takes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or "class"


def _read(path: Path) -> dict[str, Any]:
    """A JSON object from disk; anything else, a file that just went included, is an empty one."""
    try:
        value = json.loads(read_text(path, place="store"))
    except (InputError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _shared(context: Context) -> dict[str, Any]:
    """What of a context an answer depends on; the other classes are not part of it, so that it outlives them."""
    return {"domain": context.domain, "language": context.language, "refresh": context.refresh}


def _question(value: Any) -> Question:
    question = question_from(value)
    if question.kind not in KINDS:
        raise TypeError(question.kind)
    return question
