"""The websocket over which a server tells what happens; opened again, with pauses, whenever it drops.

Pictures on the way (binary frames) are skipped. Whoever waits for a prompt looks into the history as well, so a
message lost here delays nothing for long.
Not here: what messages mean (`following`).
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

from ..errors import InputError
from .address import Address
from .limits import Limits
from .untrusted import parse_json
from .wire import certificates

__all__ = ["Channel"]

FLAGS = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
FIRST_PAUSE = 0.25  # seconds, doubled with every attempt
QUEUED_FRAMES = 4
PING = 30.0  # seconds between two; and three times that for the answer, as a server that loads a model is silent


class Channel:
    """One client's websocket.

    Args:
        heard: when the last frame came, on the monotonic clock.
        fault: why it is not open, empty while it is.
    """

    def __init__(self, address: Address, client_id: str, limits: Limits) -> None:
        self.heard = time.monotonic()
        self.fault = "not opened yet"
        self._address = address
        self._url = f"{address.websocket}?{urlencode({'clientId': client_id})}"
        self._limits = limits
        self._socket: Any = None
        self._stack = ExitStack()
        self._pause = FIRST_PAUSE
        self._retry = 0.0
        # The library logs headers, and so credentials, at DEBUG; this logger has no ears at all.
        self._logger = logging.Logger("llmseg.serving", logging.CRITICAL)
        self._logger.addHandler(logging.NullHandler())

    @property
    def is_open(self) -> bool:
        """Whether messages can come."""
        return self._socket is not None

    def open(self) -> bool:
        """Try once; the reason of a failure is kept in `fault`."""
        try:
            self._socket = self._stack.enter_context(self._connect())
            self._socket.send(json.dumps(FLAGS))
        except _failures() as error:
            self.close()
            self.fault = str(error) or type(error).__name__
            self._retry = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, self._limits.pause)
            return False
        self.fault, self.heard = "", time.monotonic()
        return True

    def receive(self, seconds: float) -> tuple[str, dict[str, Any]] | None:
        """The next message, its type and its data; None if there is none in time.

        While the websocket is down, the time is used for opening it again.
        """
        if self._socket is None:
            left = self._retry - time.monotonic()
            if left > seconds:
                time.sleep(seconds)
            else:
                time.sleep(max(left, 0.0))
                self.open()
            return None
        try:
            frame = self._socket.recv(timeout=seconds)
        except TimeoutError:
            return None
        except _failures() as error:
            self.close()
            self.fault = str(error) or type(error).__name__
            self._retry = time.monotonic() + self._pause
            return None
        self.heard, self._pause = time.monotonic(), FIRST_PAUSE
        return _message(frame)

    def close(self) -> None:
        """Close it for good, or before it is opened again."""
        self._socket = None
        self._stack.close()

    def _connect(self) -> Any:
        from websockets.sync.client import ClientConnection, connect
        from websockets.uri import parse_uri

        ours, place = parse_uri(self._url), self._address.place

        class Connection(ClientConnection):
            """Refuses where the library would follow a redirect, before anything is sent."""

            def __init__(self, socket: Any, protocol: Any, **options: Any) -> None:
                if protocol.uri != ours:
                    raise InputError("the websocket is redirected; expected an answer.", place=place)
                super().__init__(socket, protocol, **options)

        return connect(
            self._url,
            additional_headers=self._address.headers,
            ssl=certificates() if self._url.startswith("wss:") else None,
            open_timeout=self._limits.connect,
            close_timeout=1.0,
            ping_interval=PING,
            ping_timeout=3 * PING,
            max_size=self._limits.frame_bytes,
            max_queue=QUEUED_FRAMES,
            logger=self._logger,
            create_connection=Connection,
        )


def _message(frame: str | bytes) -> tuple[str, dict[str, Any]] | None:
    if isinstance(frame, bytes):
        return None
    try:
        message = parse_json(frame.encode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    if not isinstance(message, dict):
        return None
    kind, data = message.get("type"), message.get("data")
    return (kind, data) if isinstance(kind, str) and isinstance(data, dict) else None


def _failures() -> tuple[type[BaseException], ...]:
    from websockets.exceptions import WebSocketException

    # ImportError: the environment names a SOCKS proxy, for which the library needs another package
    return (ImportError, OSError, EOFError, TimeoutError, ValueError, InputError, WebSocketException)
