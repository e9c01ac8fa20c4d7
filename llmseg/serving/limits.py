"""How long a server may take, how much it may send, and the error once it has the prompt.

Not here: who counts (`wire`, `client`, `results`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import LLMSegError

__all__ = ["Limits", "ServerError"]


class ServerError(LLMSegError):
    """A server that had accepted the prompt lost it, or is gone; before that, an `InputError` is raised."""


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes.

    Args:
        connect: seconds for a connection.
        answer: seconds of silence within one request; a server that loads a model may be busy for long.
        poll: seconds between two looks at the history while there is no websocket, and before the first look.
        idle: seconds between two looks while the websocket is there.
        gone: seconds without a sign of life after which a server is given up.
        pause: most seconds between two attempts to open the websocket again.
        cancel: seconds for each request that takes the prompt back.
        json_bytes: of one answer; `/object_info` with hundreds of packs has some tens of millions.
        frame_bytes: of one websocket message.
        upload_bytes: of one local file.
        file_bytes: of one result.
        total_bytes: of all results together.
        files: how many results.
    """

    connect: float = 10.0
    answer: float = 120.0
    poll: float = 2.0
    idle: float = 20.0
    gone: float = 60.0
    pause: float = 8.0
    cancel: float = 5.0
    json_bytes: int = 128 * 2**20
    frame_bytes: int = 16 * 2**20
    upload_bytes: int = 2 * 2**30
    file_bytes: int = 2 * 2**30
    total_bytes: int = 8 * 2**30
    files: int = 10_000
