"""Asking language models, once: profiles, one safe client, questions by kind, and a store of answers.

    profiles     endpoints, built in; which addresses are allowed
    configuration  the user's own, in llmseg.toml
    keys         read late, shown to nobody
    questions    what is asked and answered
    kinds        the table of what can be asked for
    replies      bodies read, repaired once, matched with questions
    prompts      questions as messages, and their cost
    wire, client  one request, by the openai client in a cage
    sending      pauses, tries, the deadline
    stored       answers on disk, and bodies before they are read
    asking       all of it together

Not here: what the answers mean for an expansion (`llm_expansion`). Nothing imports the openai client
before a request is made.
"""

from __future__ import annotations

from .asking import Outcome, ask_questions
from .configuration import Configuration, find_model, read_configuration
from .profiles import PROFILES, LanguageModel, Profile
from .prompts import Estimate, estimate_cost
from .questions import Answer, Context, Question
from .stored import AnswerStore

__all__ = [
    "PROFILES",
    "Answer",
    "AnswerStore",
    "Configuration",
    "Context",
    "Estimate",
    "LanguageModel",
    "Outcome",
    "Profile",
    "Question",
    "ask_questions",
    "estimate_cost",
    "find_model",
    "read_configuration",
]
