"""The graph package: read a workflow, turn it into a prompt, check it, run it.

It knows nothing of segmentation and never imports torch.
Not here: node classes; they are given as a registry.
"""

from __future__ import annotations

from .cache import ResultCache
from .definitions import InputSpec, NodeDefinition, define_nodes
from .editor import Conversion, to_prompt
from .events import Event, RunResult
from .execution import Executor
from .overrides import apply_overrides
from .places import printable
from .validation import Problem, Validation, validate_prompt
from .workflow import Workflow, parse_workflow, read_stream, read_workflow

__all__ = [
    "Conversion",
    "Event",
    "Executor",
    "InputSpec",
    "NodeDefinition",
    "Problem",
    "ResultCache",
    "RunResult",
    "Validation",
    "Workflow",
    "apply_overrides",
    "define_nodes",
    "parse_workflow",
    "printable",
    "read_stream",
    "read_workflow",
    "to_prompt",
    "validate_prompt",
]
