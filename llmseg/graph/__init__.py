"""The graph package: read a workflow, turn it into a prompt, check it, run it.

It knows nothing of segmentation and never imports torch.
Not here: node classes; they are given as a registry.
"""

from __future__ import annotations

from .cache import ResultCache, ResultStore, StoredResult
from .definitions import InputSpec, NodeDefinition, define_nodes
from .dynamic_prompts import Picker, pick_at_random
from .editor import Conversion, to_prompt
from .events import Event, RunResult
from .execution import Executor
from .object_info import read_object_info
from .overrides import apply_overrides, find_node
from .packs import Loading, Pack, load_packs
from .places import printable
from .validation import Problem, Validation, validate_prompt
from .workflow import Workflow, parse_workflow, read_stream, read_workflow

__all__ = [
    "Conversion",
    "Event",
    "Executor",
    "InputSpec",
    "Loading",
    "NodeDefinition",
    "Pack",
    "Picker",
    "Problem",
    "ResultCache",
    "ResultStore",
    "RunResult",
    "StoredResult",
    "Validation",
    "Workflow",
    "apply_overrides",
    "define_nodes",
    "find_node",
    "load_packs",
    "parse_workflow",
    "pick_at_random",
    "printable",
    "read_object_info",
    "read_stream",
    "read_workflow",
    "to_prompt",
    "validate_prompt",
]
