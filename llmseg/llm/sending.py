"""One body, however busy the endpoint: pauses, tries, the deadline, and parameters given up.

Not here: the wire (`client`), what is done with a body (`asking`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..errors import InputError, LLMError, UnreachableError
from .client import BusyError, Endpoint, RefusedParameterError
from .profiles import LanguageModel
from .stored import AnswerStore

__all__ = ["Sender"]

UNCONNECTED_TRIES = 2  # a server that is not there will not come within a minute
LONGEST_DOUBLING = 16  # after it the pause grows no more
FRESH_TEMPERATURE = 0.7  # a new answer is wanted, so not the likeliest again


class Sender:
    """Sends requests of one expansion, at most `concurrency` of them at once.

    Args:
        endpoint: an open connection.
        language_model: who is asked; its profile sets the limits.
        store: remembers what the endpoint refuses.
        seconds: until the deadline; None for that of the profile.
        fresh: 0 for the likeliest answer; another number for another answer, the same one each time
            where the endpoint can.

    Attributes:
        requests: how many were made, failed ones too.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        language_model: LanguageModel,
        store: AnswerStore,
        seconds: float | None = None,
        *,
        fresh: int = 0,
    ) -> None:
        self.requests = 0
        self._endpoint = endpoint
        self._profile = language_model.profile
        self._store = store
        self._wishes = {"temperature": FRESH_TEMPERATURE if fresh else 0.0, "seed": fresh}
        self._refused = set(store.refused())
        self._places = asyncio.Semaphore(self._profile.concurrency)
        self._deadline = asyncio.get_running_loop().time() + (self._profile.deadline if seconds is None else seconds)

    async def send(self, messages: Sequence[Mapping[str, str]], form: Mapping[str, Any]) -> str:
        """The body of a reply.

        Args:
            messages: the request.
            form: its `response_format`, left out where the endpoint does not take one.

        Raises:
            UnreachableError: still busy after all tries, or at the deadline.
            LLMError: as `Endpoint.complete`.
        """
        async with self._places:
            tries = 0
            while True:
                if self.remaining() <= 0:
                    raise self._too_late()
                if self.requests >= self._profile.requests:
                    raise LLMError(
                        f"more than {self._profile.requests} requests; raise 'requests' of profile "
                        f"{self._profile.name!r} if that is meant.",
                        place="llm",
                    )
                self.requests += 1
                wishes = {**self._wishes, "response_format": form}
                parameters = {name: value for name, value in wishes.items() if name not in self._refused}
                try:
                    request = self._endpoint.complete(messages, parameters)
                    return await asyncio.wait_for(request, max(0.001, self.remaining()))
                except RefusedParameterError as error:
                    self._refused.add(error.parameter)
                    with suppress(InputError):  # a hint for the next run, no more
                        self._store.note_refused(error.parameter)
                except asyncio.TimeoutError:
                    raise self._too_late() from None
                except BusyError as error:
                    tries += 1
                    await asyncio.sleep(self._pause(error, tries))

    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - asyncio.get_running_loop().time()

    def _too_late(self) -> UnreachableError:
        return UnreachableError(f"no answer within {self._profile.deadline:g} s.", place="llm")

    def _pause(self, error: BusyError, tries: int) -> float:
        """Seconds to wait before the next try."""
        if tries >= (self._profile.tries if error.connected else UNCONNECTED_TRIES):
            service = f" Start the service of profile {self._profile.name!r}, or choose a library."
            remedy = "" if error.connected else service
            raise UnreachableError(f"{error.problem} Tried {tries} times.{remedy}", place="llm") from error
        # Jitter: requests that failed together shall not come back together.
        own = self._profile.pause * 2 ** min(tries - 1, LONGEST_DOUBLING) * random.uniform(0.5, 1)
        pause = own if error.wait is None else error.wait
        if pause > self.remaining():
            raise UnreachableError(
                f"{error.problem} A wait of {pause:g} s would pass the deadline of {self._profile.deadline:g} s. "
                "Try again later.",
                place="llm",
            ) from error
        return pause
