"""`server` without a server: packs may import `PromptServer`, and are told plainly where they use it.

There is no instance, not even None: packs test for one, and so does `host`.
Not here: anything that answers requests.
Source: ComfyUI 0.8 `server.py`.
"""

from __future__ import annotations

from typing import Any

from llmseg.graph.packs.problems import MissingService


class _NoServer(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"type object 'PromptServer' has no attribute {name!r}")
        raise MissingService(f"server.PromptServer.{name}")


class PromptServer(metaclass=_NoServer):
    """The name only."""


MEMBERS = {"PromptServer": PromptServer}
