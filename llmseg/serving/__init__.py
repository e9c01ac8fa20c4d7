"""Run a prompt on a ComfyUI server, follow it, and fetch its results.

    limits      how long, how much
    untrusted   what a server sends, made harmless
    address     the server's URL, and credentials that are never shown
    wire        one HTTP request
    channel     the websocket, opened again when it drops
    refusals    what the server's validation says, as our problems
    following   messages as events, and the verdict
    waiting     until the prompt is done, lost or taken back
    uploads     local files that the prompt names
    results     files fetched into the output folder, and never elsewhere
    client      all of it together

Not here: conversion and local checks (`graph`), what a person sees (`reporting`). The libraries that speak
HTTP and websocket are imported when a client is made, not before.

Source: the HTTP and websocket interface of the ComfyUI server, restated.
"""

from __future__ import annotations

from .client import ServerClient, ServerRun
from .following import Listener
from .limits import Limits, ServerError
from .uploads import find_in

__all__ = ["Limits", "Listener", "ServerClient", "ServerError", "ServerRun", "find_in"]
