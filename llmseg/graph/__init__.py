"""The graph package: read a workflow, turn it into a prompt, check it, run it.

    places        how a node is named in a message
    shapes        whether parsed data can be a workflow at all
    inputs        one declared input
    definitions   one node class
    dynamic       inputs that come and go
    files/        bytes to forms
    drawing/      UI form to prompt
    overrides     changes from the command line
    execution/    runs a prompt
    links         who reads whom, in order
    checks        one node's inputs against its class
    validation    every problem of a prompt at once
    packs/        node packs of other people

It knows nothing of segmentation and never imports torch.
Not here: node classes; they are given as a registry.
"""

from __future__ import annotations

from .definitions import InputSpec, NodeDefinition, define_nodes
from .drawing.dynamic_prompts import Picker, pick_at_random
from .drawing.editor import Conversion, to_prompt
from .execution.cache import ResultCache, ResultStore, StoredResult
from .execution.events import Event, RunResult
from .execution.executor import Executor
from .files.object_info import read_object_info
from .files.workflow import Workflow, parse_workflow, read_stream, read_workflow
from .overrides import apply_overrides, find_node
from .packs.loading import Loading, Pack, load_packs
from .places import printable
from .validation import Problem, Validation, validate_prompt

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
