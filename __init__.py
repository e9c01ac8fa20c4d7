"""LLMSeg for ComfyUI. The library is `llmseg`, the nodes are `nodes`; this file only joins them."""

# pytest imports this file without a package; ComfyUI gives it one.
if __package__:
    import sys
    from importlib.util import find_spec
    from pathlib import Path

    found = find_spec("llmseg")
    if found is None or found.origin is None:  # none, or a mere folder of that name
        # Appended, never put first: no name of another pack or of ComfyUI may be shadowed.
        sys.path.append(str(Path(__file__).parent))

    from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

    WEB_DIRECTORY = "./web"  # scripts and help pages that ComfyUI's page loads
    __all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]
