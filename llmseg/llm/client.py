"""One request to one endpoint, by the `openai` client, with every way past the profile closed.

The client may follow redirects, try again by itself, and take its address, headers and proxies from the
environment. Here it gets a transport of ours (`wire`), no key, and no second try.

Not here: trying again (`sending`), what is in a body (`replies`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import urlsplit

from ..errors import LLMError, MissingKeyError, QuotaError, UnreachableError
from .keys import Secret, read_key
from .profiles import LanguageModel, Profile, table_name
from .wire import REDIRECT_TARGET, hidden_in_logs, open_wire

__all__ = ["BusyError", "Endpoint", "RefusedParameterError", "open_endpoint"]

OPTIONAL_PARAMETERS = ("temperature", "seed", "response_format")
SHOWN = 200  # characters of an endpoint's complaint
NO_QUOTA = ("insufficient_quota", "exceeded your current quota", "credit balance")


class BusyError(LLMError):
    """An endpoint that may answer later.

    Args:
        problem: what happened.
        wait: seconds that it asked to wait; None where it did not say.
        connected: whether there was a connection at all.
    """

    def __init__(self, problem: str, *, wait: float | None = None, connected: bool = True) -> None:
        super().__init__(problem, place="llm")
        self.wait = wait
        self.connected = connected


class RefusedParameterError(LLMError):
    """A parameter that this model does not take; the request may be made without it."""

    def __init__(self, parameter: str) -> None:
        super().__init__(f"the endpoint refuses {parameter!r}.", place="llm")
        self.parameter = parameter


class Endpoint:
    """An open connection to a language model; made by `open_endpoint`."""

    def __init__(self, client: Any, language_model: LanguageModel, key: Secret) -> None:
        self._client = client
        self._profile = language_model.profile
        self._model = language_model.model
        self._key = key

    async def complete(self, messages: Sequence[Mapping[str, str]], parameters: Mapping[str, Any]) -> str:
        """The body of one chat completion, as it came, but for the key should it be repeated in it.

        Raises:
            BusyError: too many requests, a failure of the server, no connection, or no reply in time.
            RefusedParameterError: one of `OPTIONAL_PARAMETERS` is not taken.
            MissingKeyError, QuotaError, UnreachableError, ReplyError: nothing that waiting would mend.
        """
        import openai

        request = self._client.chat.completions.with_raw_response.create(
            model=self._model, messages=list(messages), **parameters
        )
        try:
            reply = await asyncio.wait_for(request, self._profile.timeout)
            return self._key.hide(reply.http_response.content.decode("utf-8", "replace"))
        except (asyncio.TimeoutError, openai.APITimeoutError):
            problem: LLMError = BusyError(f"no reply in {self._profile.timeout:g} s.")
        except openai.APIStatusError as error:
            problem = self._explain(error.response, parameters)
        except openai.APIConnectionError as error:
            problem = self._explain_connection(error)
        raise problem  # out here, so that it does not carry the client's error, and what a server said, about

    def _explain_connection(self, error: Exception) -> LLMError:
        """What a failed connection means; our own refusals come through as they are."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, LLMError):
                return cause
            if "ConnectError" in type(cause).__name__:
                detail = self._key.hide(str(cause))[:SHOWN] or "no connection"
                return BusyError(f"no connection to {_host(self._profile)} ({detail}).", connected=False)
            cause = cause.__cause__ or cause.__context__
        return BusyError(f"the connection to {_host(self._profile)} broke.")

    def _explain(self, response: Any, parameters: Mapping[str, Any]) -> LLMError:
        """What a status other than success means."""
        status, profile, host = response.status_code, self._profile, _host(self._profile)
        text = self._key.hide(response.content.decode("utf-8", "replace"))
        said = self._key.hide(_complaint(text))[:SHOWN].rstrip(". ")  # hidden before it is cut
        detail = f" It says {said!r}." if said else ""
        if 300 <= status < 400:
            return UnreachableError(
                f"{host} redirects to {_target(response.headers, self._key)!r}; expected an answer. "
                "Put the final address into base_url.",
                place="llm",
            )
        if status == 402 or (status in (403, 429) and any(word in text.lower() for word in NO_QUOTA)):
            return QuotaError(
                f"the account of {profile.name!r} has no quota left.{detail} Check its billing.", place="llm"
            )
        if status in (401, 403):
            return MissingKeyError(
                f"{host} refuses the key of {profile.name!r} ({status}). {_key_remedy(profile)}", place="llm"
            )
        if status in (408, 409, 425, 429) or status >= 500:
            return BusyError(f"{host} answered {status}.{detail}", wait=_wait(response.headers))
        if status in (400, 422) and (parameter := _refused(text, parameters)):
            return RefusedParameterError(parameter)
        if status == 404:
            return LLMError(f"{host} knows no model {self._model!r}.{detail} Name one that it serves.", place="llm")
        return LLMError(f"{host} answered {status}.{detail}", place="llm")


@asynccontextmanager
async def open_endpoint(language_model: LanguageModel) -> AsyncIterator[Endpoint]:
    """Connect to a language model.

    Raises:
        MissingKeyError: the profile has no key.
    """
    import openai

    profile, key = language_model.profile, read_key(language_model.profile)
    connection = openai.DefaultAsyncHttpxClient(
        transport=open_wire(profile, key), follow_redirects=False, trust_env=False, timeout=profile.timeout
    )
    client = openai.AsyncOpenAI(
        base_url=profile.base_url,
        api_key="none",
        organization="",
        project="",
        max_retries=0,
        timeout=profile.timeout,
        http_client=connection,
    )
    client._custom_headers = {}  # of the environment; the wire drops them, but odd letters would fail before
    with hidden_in_logs(key):
        async with connection:
            yield Endpoint(client, language_model, key)


def _key_remedy(profile: Profile) -> str:
    if profile.key_variable:
        return f"Set {profile.key_variable} to a valid key."
    if profile.key_file:
        return f"Put a valid key into {profile.key_file!r}."
    return f"Name a key by key_variable under [profiles.{table_name(profile.name)}] in llmseg.toml."


def _host(profile: Profile) -> str:
    return urlsplit(profile.base_url).hostname or profile.base_url


def _target(headers: Mapping[str, str], key: Secret) -> str:
    """The host that a redirect leads to."""
    with suppress(ValueError):
        return key.hide(urlsplit(headers.get(REDIRECT_TARGET, "")).hostname or "elsewhere")[:SHOWN]
    return "elsewhere"


def _complaint(text: str) -> str:
    """The sentence in an error body, or the body."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    error = value.get("error", value.get("detail", value)) if isinstance(value, dict) else None
    said = error.get("message", "") if isinstance(error, dict) else error if isinstance(error, str) else text
    return " ".join(str(said).split())


def _refused(text: str, parameters: Mapping[str, Any]) -> str:
    """The optional parameter that a 400 speaks of, the first in the order in which they are given up."""
    words = text.lower()
    named = [name for name in OPTIONAL_PARAMETERS if name in parameters and name in words]
    if not named and "response_format" in parameters and ("schema" in words or "grammar" in words):
        return "response_format"
    return named[0] if named else ""


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, as a number or as a date."""
    text = headers.get("retry-after", "").strip()
    for number, unit in ((headers.get("retry-after-ms", ""), 1000.0), (text, 1.0)):
        with suppress(ValueError):
            return max(0.0, float(number) / unit)
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    return None
