"""What the numbers say, in sentences; as plain text, so that every page can escape it in its own way.

Not here: the numbers (`digest`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..measures import Interval
from ..verdicts import Verdict
from ..vocabularies import is_control
from .digest import ColumnDigest, Digest
from .wording import percent, plural, points, span

__all__ = ["describe_findings", "describe_title"]

NAMED = 3  # classes named in a sentence


def describe_title(digest: Digest) -> str:
    """What was done, in a line."""
    columns, images = len(digest.columns), len(digest.results.samples)
    return f"{digest.results.dataset}: {plural(columns, 'column')} on {plural(images, 'image')}"


def describe_findings(digest: Digest) -> list[str]:
    """The sentences that a reader should remember."""
    chosen, baseline = digest.chosen, digest.baseline
    if chosen.overall is None:
        occurring = sum(share > 0 for share in digest.shares)
        return [
            f"“{baseline.name}” reaches a mean IoU of {percent(baseline.measures.miou)} % over the "
            f"{plural(occurring, 'class')} that occur, and labels {percent(baseline.measures.accuracy)} % of the "
            "pixels right. It is the only column, so nothing is compared."
        ]
    found = [_compare(chosen, baseline, chosen.overall), _count_classes(chosen)]
    found += _tell_controls(digest)
    worse = [
        f"“{each.name}” ({points(each.overall.difference.value)})"
        for each in digest.columns
        if each is not chosen and each.overall is not None and each.overall.verdict == "hurts"
    ]
    if worse:
        found.append(f"Worse than the baseline: {', '.join(worse)}.")
    if len(digest.results.samples) == 1:
        found.append("There is one image only: intervals over images have no width and say nothing.")
    return found


def _compare(chosen: ColumnDigest, baseline: ColumnDigest, overall: Verdict) -> str:
    how = {"helps": "better than", "hurts": "worse than"}.get(overall.verdict, "not to be told apart from")
    return (
        f"“{chosen.name}” reaches a mean IoU of {percent(chosen.measures.miou)} % and is {how} the baseline "
        f"“{baseline.name}” with {percent(baseline.measures.miou)} %: {_tell(overall.difference)}."
    )


def _tell(difference: Interval) -> str:
    return f"{points(difference.value)} points (95 % interval {span(difference)})"


def _count_classes(chosen: ColumnDigest) -> str:
    helped, hurt = chosen.judged("helps"), chosen.judged("hurts")
    total = len(chosen.verdicts)
    text = f"It helps {len(helped)} of {plural(total, 'class')}{_most(helped)} and hurts {len(hurt)}{_most(hurt)}"
    rest = total - len(helped) - len(hurt)
    return f"{text}; for the other {rest} the images do not tell." if rest else f"{text}."


def _most(verdicts: Sequence[Verdict]) -> str:
    listed = ", ".join(f"{each.name} {points(each.difference.value)}" for each in verdicts[:NAMED])
    more = "most: " if len(verdicts) > NAMED else ""
    return f" ({more}{listed})" if listed else ""


def _tell_controls(digest: Digest) -> list[str]:
    """Whether the words count, or only that there are several."""
    if is_control(digest.chosen.column.expansion):
        return []
    found = []
    if digest.chosen.plain is not None:
        name, verdict = digest.chosen.plain
        found.append(f"Against class names alone under the same settings (“{name}”): {_tell(verdict.difference)}.")
    if digest.placebo is None:
        told = (
            "No placebo of it was run: whether what the phrases say counts, or only that there are several, stays open."
        )
        return [*found, told]
    name, verdict = digest.placebo
    if verdict.verdict == "helps":
        told = f"It is better than its placebo “{name}”, as many phrases that say nothing: {_tell(verdict.difference)}."
    else:
        how = "worse" if verdict.verdict == "hurts" else "not better"
        told = (
            f"It is {how} than its placebo “{name}”, as many phrases that say nothing: {_tell(verdict.difference)}. "
            "What it gains comes from having several phrases, not from what they say."
        )
    return [*found, told]
