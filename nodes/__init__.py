"""The node pack: what each module lists under `NODES`, as the two mappings that ComfyUI reads."""

import llmseg

from . import (
    asking,
    backbone,
    encoding,
    expansion,
    interchange,
    maps,
    measuring,
    output,
    regions,
    seeing,
    text,
)
from .search import SEARCH_ALIASES

VERSION = "0.1.0"  # of the library these nodes were written for; a test holds it against llmseg's own
if llmseg.__version__ != VERSION:
    raise ImportError(
        f"llmseg: version {llmseg.__version__} is installed at {llmseg.__file__}; expected {VERSION}. "
        "Run: pip uninstall llmseg"
    )

_NODES = {
    **text.NODES,
    **asking.NODES,
    **expansion.NODES,
    **encoding.NODES,
    **backbone.NODES,
    **maps.NODES,
    **regions.NODES,
    **output.NODES,
    **seeing.NODES,
    **interchange.NODES,
    **measuring.NODES,
}

NODE_CLASS_MAPPINGS = {name: node for name, (node, _) in _NODES.items()}
NODE_DISPLAY_NAME_MAPPINGS = {name: title for name, (_, title) in _NODES.items()}

for _name, _node in NODE_CLASS_MAPPINGS.items():
    _node.SEARCH_ALIASES = list(SEARCH_ALIASES.get(_name, ()))  # where later servers look; 0.8 does not
