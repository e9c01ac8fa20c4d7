"""Questions -> answers: what is stored is taken, the rest is asked in batches, and nothing is paid twice.

A busy endpoint is asked again after a pause. A reply that cannot be used is asked for once more with
the complaint, then in halves, then class by class; a class that still has none fails alone. A wrong
key, an empty account or an endpoint that never answers stops everything at once.

Not here: the wire (`client`), the wording (`prompts`), the files (`stored`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ..errors import InputError, LLMError, ReplyError, UnreachableError
from .client import open_endpoint
from .profiles import LanguageModel
from .prompts import batch_questions, response_format, write_messages
from .questions import Answer, Context, Question
from .running import run_all
from .sending import Sender
from .stored import AnswerStore, Settled, read_body

__all__ = ["Outcome", "ask_questions"]

logger = logging.getLogger("llmseg")

USELESS_REPLIES = 10  # with not one usable among them, the model is given up
LOOK_AGAIN = 0.1  # seconds between two looks for an answer that another process is asking for

Progress = Callable[[int, int], None]


@dataclass
class Outcome:
    """What came of asking.

    Args:
        answers: by question.
        failures: why a question has no answer.
        stored: how many answers were there already.
        requests: how many were made, failed ones too.
        tokens_in, tokens_out: as the endpoint counts them.
        unfinished: whether some failure was of the connection only, so that asking again may help.
    """

    answers: dict[Question, Answer] = field(default_factory=dict)
    failures: dict[Question, str] = field(default_factory=dict)
    stored: int = 0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    unfinished: bool = False


async def ask_questions(
    questions: Sequence[Question],
    context: Context,
    language_model: LanguageModel,
    store: AnswerStore,
    *,
    network: str = "online",
    seconds: float | None = None,
    on_answer: Progress | None = None,
) -> Outcome:
    """Answer questions from the store, and the others from the language model.

    Args:
        questions: what is wanted; equal ones are asked once.
        context: what they share.
        language_model: who is asked.
        store: where answers are found and kept.
        network: a name in `options.NETWORK`.
        seconds: until answers are no use any more; None for the deadline of the profile.
        on_answer: called with (questions done, questions in all).

    Raises:
        MissingKeyError: no key, or a refused one.
        QuotaError: the account has nothing left.
        UnreachableError: the endpoint never answered.
        ReplyError: no reply could be used.
        LLMError: `network` is frozen and an answer is missing; or the endpoint refuses the request.
    """
    asking = _Asking(list(dict.fromkeys(questions)), context, language_model, store, on_answer)
    missing = [question for question in asking.questions if not asking.take(question)]
    if missing and store.recover():
        missing = [question for question in missing if not asking.take(question)]
    asking.outcome.stored = len(asking.outcome.answers)
    if missing and network == "frozen":
        names = ", ".join(repr(question.name) for question in missing[:5])
        raise LLMError(
            f"no stored answer for {names}{' ...' if len(missing) > 5 else ''}, and the network is frozen; expected "
            "all of them. Run once without --frozen, or give a lock file that has them.",
            place="llm",
        )
    if network == "offline":
        asking.fail(missing, "not asked: offline")
    elif missing:
        await asking.ask(missing, language_model.profile.deadline if seconds is None else seconds)
    return asking.outcome


class _Asking:
    """The state of one call."""

    def __init__(
        self,
        questions: list[Question],
        context: Context,
        language_model: LanguageModel,
        store: AnswerStore,
        on_answer: Progress | None,
    ) -> None:
        self.questions = questions
        self.context = context
        self.language_model = language_model
        self.profile = language_model.profile
        self.store = store
        self.on_answer = on_answer
        self.outcome = Outcome()
        self.sender: Sender
        self.useful = self.useless = 0
        self.unanswerable: set[Question] = set()  # failures that are stored
        self.places = asyncio.Semaphore(language_model.profile.concurrency)

    def take(self, question: Question) -> bool:
        """Whether the answer is at hand, now or since before."""
        answer = self.store.get(question, self.context)
        if answer is None:
            return False
        if answer.failure:
            self.fail([question], answer.failure)
        else:
            self.outcome.answers[question] = answer
            self._report()
        return True

    def fail(self, questions: Iterable[Question], why: str) -> None:
        for question in questions:
            self.outcome.failures[question] = why
        self._report()

    async def ask(self, questions: Sequence[Question], seconds: float) -> None:
        async with open_endpoint(self.language_model) as endpoint:
            self.sender = Sender(endpoint, self.language_model, self.store, seconds, fresh=self.context.refresh)
            try:
                await run_all(self._complete(batch) for batch in batch_questions(questions, self.profile.batch))
            finally:
                self.outcome.requests = self.sender.requests

    async def _complete(self, pending: list[Question]) -> None:
        """Answer a batch; a question that another process is asking is waited for, not asked again."""
        while pending:
            # No more than can be asked at once, so that another process finds something to do.
            async with self.places:
                theirs = await self._claim_and_answer(pending)
            pending = [question for question in theirs if not self.take(question)]
            if pending and self.sender.remaining() <= 0:
                self.outcome.unfinished = True
                self.fail(pending, "another process did not answer in time")
                return
            if pending:
                await asyncio.sleep(LOOK_AGAIN)

    async def _claim_and_answer(self, questions: list[Question]) -> list[Question]:
        """Ask what nobody else is asking, and give back what somebody else is."""
        locks = {question: self.store.claim(question, self.context) for question in questions}
        try:
            mine = [question for question, lock in locks.items() if lock is not None and not self.take(question)]
            if mine:
                await self._answer(mine)
        finally:
            for question, lock in locks.items():
                if lock is not None:
                    self.store.release(lock, answered=question in self.outcome.answers or question in self.unanswerable)
        return [question for question, lock in locks.items() if lock is None]

    async def _answer(self, questions: list[Question], *, again: bool = True) -> None:
        """Ask; what a reply leaves open is asked once more, then in halves."""
        left, settled = await self._request(questions)
        if left and again and settled is not None and not settled.message.cut:
            left, settled = await self._request(left, settled.problems)
        if len(left) > 1:
            middle = (len(left) + 1) // 2
            await run_all(self._answer(half, again=False) for half in (left[:middle], left[middle:]))
        elif left:
            refusal = settled.message.refusal if settled else ""
            failure = Answer(failure=(f"refused: {refusal}" if refusal else "no usable reply")[:200])
            if refusal or (self.useful and settled is not None and settled.readable):
                # The model itself failed, so that the next run need not pay for it again.
                with suppress(InputError):
                    self.store.put(left[0], self.context, failure, {})
                    self.unanswerable.add(left[0])
            else:
                self.outcome.unfinished = True
            self.fail(left, failure.failure)

    async def _request(
        self, questions: list[Question], problems: Sequence[str] = ()
    ) -> tuple[list[Question], Settled | None]:
        """One request: the questions it left open, and what came; those of a failed connection are given up."""
        messages = write_messages(questions, self.context, problems)
        try:
            body = await self.sender.send(messages, response_format(questions))
        except ReplyError as error:
            self._count_useless(error.problem)
            return questions, None
        except UnreachableError as error:
            if not self.useful:
                raise
            self.outcome.unfinished = True
            self.fail(questions, error.problem)
            return [], None
        try:
            settled = self.store.settle(self.store.receive(body, questions, self.context, {"messages": messages}))
        except InputError as error:  # a full disk, say: what was paid for is used, if not kept
            logger.warning("a reply cannot be stored: %s", error.problem)
            settled = read_body(body, questions)
        self.outcome.tokens_in += settled.message.tokens_in
        self.outcome.tokens_out += settled.message.tokens_out
        for position, answer in settled.answers.items():
            self.outcome.answers[questions[position]] = answer
        self._report()
        if settled.answers:
            self.useful += 1
        else:
            self._count_useless(settled.message.refusal or " ".join(settled.problems))
        return [question for position, question in enumerate(questions) if position not in settled.answers], settled

    def _count_useless(self, problem: str) -> None:
        self.useless += 1
        if self.useless >= USELESS_REPLIES and not self.useful:
            raise ReplyError(
                f"{self.useless} replies of {self.language_model.model!r} and none that can be used; the last: "
                f"{problem} Choose another model.",
                place="llm",
            )

    def _report(self) -> None:
        if self.on_answer is not None:
            self.on_answer(len(self.outcome.answers) + len(self.outcome.failures), len(self.questions))
