"""Weights that open_clip knows by name: whether a workflow may have them fetched.

Nothing is fetched that nobody asked for: a workflow from somewhere else may name any model, of any size.

Not here: where they come from, whether they are here, fetching and reading them (`llmseg.models`).
"""

from __future__ import annotations

from llmseg.errors import InputError
from llmseg.models.catalogue import find_source
from llmseg.models.downloads import find_weights, list_places, offline_reason

from . import host


def refuse_hidden(model: str, allowed: bool) -> None:
    """Raise where opening a model by name would fetch its weights without leave.

    A name that open_clip does not know passes: its own message comes when it is opened, and no network is used.

    Args:
        model: name/tag.
        allowed: whether the person asked for it.

    Raises:
        InputError: the weights are not here, and may not be fetched.
    """
    source = find_source(model, ask_library=True)
    folders = host.model_folders()
    if source is None or find_weights(source, folders) is not None:
        return
    places = ", ".join(str(place) for place in list_places(source, folders))
    missing = f"the weights of {model!r} are not on this computer; expected them in {places}."
    if reason := offline_reason(host.network()):
        raise InputError(f"{missing} They cannot be fetched: {reason}.", place="model")
    if not allowed:
        raise InputError(
            f"{missing} Turn on download in Load CLIP Encoder to fetch them once, or run: "
            f"python -m llmseg.models get {source.name}",
            place="model",
        )
