"""Measure ways to segment on a data set: `python -m llmseg.evaluate embedded --output results`.

    OUTPUT/columns/       counts of every image under every column; what is there is not counted again
    OUTPUT/report.html    the report, and CSV and Markdown beside it
    OUTPUT/auto_off.json, OUTPUT/leave_one_out.md    where they were asked for

Exit codes: 0 done, 1 nothing could be counted, 2 bad usage and nothing was run, 3 some images failed, 130 interrupted.

Not here: what can be typed, columns, running, verdicts (`evaluation`).
"""

from __future__ import annotations

import argparse
import logging
import math
import shlex
import sys
import traceback
from collections.abc import Sequence

from . import __version__
from .backbone import load_backbone
from .commands import DONE, FAILED, INTERRUPTED, INVALID, PARTLY, WarningHandler, use_utf8
from .encoder import Encoder, load_encoder
from .errors import InputError, LLMSegError, ModelError
from .evaluation.arguments import PROGRAM, read_arguments
from .evaluation.auto_off import make_auto_off
from .evaluation.counting import measure_counts
from .evaluation.experiments import Experiment, NothingCounted
from .evaluation.feature_files import FeatureFiles
from .evaluation.leaving_out import find_culprits, format_culprits
from .evaluation.pictures import StoredPictures
from .evaluation.preparing import Material, Prepared
from .evaluation.requests import HURT, read_request, split_names
from .evaluation.results import Results
from .evaluation.stored_counts import CannotStore, told_as_unstored
from .evaluation.summary import format_summary
from .evaluation.telling import Teller
from .evaluation.verdicts import find_plain, has_list, hurt_classes, judge_column
from .models.catalogue import find_source
from .models.downloads import find_weights, list_places, offline_reason
from .store import try_lock, write_atomic

__all__ = ["main"]

LOCK = ".lock"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    use_utf8()
    options = read_arguments(arguments)
    teller = Teller(options.json)
    handler = WarningHandler(teller.warning)
    logging.getLogger("llmseg").addHandler(handler)
    try:
        return _Session(options, teller, sys.argv[1:] if arguments is None else arguments).run()
    except LLMSegError as error:
        if options.debug:
            traceback.print_exc()
        teller.failure(str(error))
        return FAILED if isinstance(error, (ModelError, NothingCounted, CannotStore)) else INVALID
    except BrokenPipeError:  # whoever read the table has left; the counts are stored
        sys.stdout = None  # so that the interpreter does not flush into it
        return FAILED
    except KeyboardInterrupt:
        teller.failure("interrupted; what was counted stays stored, the same command goes on from there.")
        return INTERRUPTED
    finally:
        logging.getLogger("llmseg").removeHandler(handler)


class _Session:
    """One call of the command, from values that are checked to a report."""

    def __init__(self, options: argparse.Namespace, teller: Teller, typed: Sequence[str]) -> None:
        self.options, self.teller, self.typed = options, teller, typed
        self.request = read_request(options)

    def run(self) -> int:
        """Count, judge, and tell; returns the exit code."""
        output = self.options.output
        lock = try_lock(output / LOCK)
        if lock is None:
            raise InputError(f"another run writes into {str(output)!r}; expected a folder of its own.", place="output")
        try:
            return self._count(self._load())
        finally:
            lock.release()

    def _load(self) -> Experiment:
        options, request = self.options, self.request
        if options.offline:
            _refuse_fetching(request.model)
        encoder = _load_model(request.model, options.device)
        backbone = load_backbone(options.backbone, device=options.device) if options.backbone else None
        return Experiment(
            Material(request.dataset, encoder, request.published, backbone),
            options.output,
            features=FeatureFiles(most_bytes=int(options.features * 2**30)),
            tell=self.teller.step,
        )

    def _count(self, experiment: Experiment) -> int:
        prepared = experiment.prepare(self.request.columns)
        chosen = self._choose(prepared)
        experiment.run(prepared)
        if self.request.calibration:
            prepared.append(self._switch_off(experiment, chosen))
            experiment.run(prepared[-1:], self.request.reported)
        results = experiment.collect(prepared, self.request.reported, self._facts(experiment))
        self._tell(results)
        if self.options.leave_one_out:
            self._leave_out(experiment, results, prepared.index(chosen), prepared)
        if not self.options.no_report:
            self._report(results, StoredPictures(experiment, prepared))
        failed = experiment.failures
        if failed:
            total = len(experiment.material.dataset.samples)
            self.teller.failure(f"{len(failed)} of {total} images failed and are left out: {', '.join(failed)}")
        self.teller.event("done", images=len(results.samples), failed=list(failed), encoded=experiment.features.encoded)
        return PARTLY if failed else DONE

    def _choose(self, prepared: Sequence[Prepared]) -> Prepared:
        """The column that is looked into: the one that was named, else the first with a list."""
        named = next((each for each in prepared if each.column.name == self.options.auto_off), None)
        lists = (each for each in prepared[1:] if has_list(each.column))
        chosen = named or next(lists, None)
        if chosen is None and (self.options.calibration or self.options.leave_one_out):
            raise InputError("no column with a list beside the baseline; expected one.", place="columns")
        return chosen or prepared[0]

    def _switch_off(self, experiment: Experiment, chosen: Prepared) -> Prepared:
        path = self.options.output / "auto_off.json"
        column, names = make_auto_off(experiment, chosen, self.request.calibration, path)
        listed = ", ".join(names) or "no class"
        self.teller.remark(
            f"{chosen.column.name}: expansion off for {listed}, by {len(self.request.calibration)} calibration images, "
            f"which no result below is of; wrote {path}"
        )
        return column

    def _leave_out(self, experiment: Experiment, results: Results, column: int, prepared: Sequence[Prepared]) -> None:
        asked = self.options.leave_one_out
        plain = find_plain(results, column) or 0  # lists are judged: against names under the same settings
        verdicts = judge_column(results, column, baseline=plain)
        names = hurt_classes(verdicts) if asked == HURT else split_names(asked)
        found = find_culprits(experiment, prepared[column], names, self.request.reported)
        title = f"IoU without one phrase of {prepared[column].column.name!r}"
        text = f"{title}:\n\n{format_culprits(found)}" if found else f"{title}: no class to look into."
        with told_as_unstored():
            write_atomic(self.options.output / "leave_one_out.md", f"{text}\n".encode("utf-8", "backslashreplace"))
        self.teller.result(f"\n{text}")
        for each in found:
            self.teller.event("left_out", **{**vars(each), "gain": list(each.gain)})

    def _facts(self, experiment: Experiment) -> dict[str, str]:
        import torch

        encoder, protocol = experiment.material.encoder, self.request.protocol
        facts = {
            "model": encoder.name,
            "identity": encoder.identity,
            "device": str(encoder.device),
            "protocol": f"{self.options.protocol} ({protocol.source})" if protocol else "",
            "published mIoU": f"{protocol.figure:g}" if protocol and protocol.figure is not None else "",
            "version": __version__,
            "torch": torch.__version__,
            "calibration": f"{len(self.request.calibration)} images, not reported" if self.request.calibration else "",
            "left out": ", ".join(experiment.failures),
            "command": f"{PROGRAM} {shlex.join(self.typed)}",
        }
        return {name: text for name, text in facts.items() if text}

    def _tell(self, results: Results) -> None:
        if not self.teller.as_json:
            self.teller.result(format_summary(results))
            return
        for number, column in enumerate(results.columns):
            overall = judge_column(results, number)[0]
            measures = measure_counts(column.counts)
            self.teller.event(
                "column",
                name=column.column.name,
                miou=_or_none(measures.miou),
                accuracy=_or_none(measures.accuracy),
                difference=list(overall.difference),
                verdict=overall.verdict,
            )

    def _report(self, results: Results, pictures: StoredPictures) -> None:
        from .evaluation.report import write_report

        with told_as_unstored():
            written = write_report(results, self.options.output, pictures)
        for path in written:
            self.teller.event("file", path=str(path))
            self.teller.result(f"wrote {path}")


def _or_none(number: float) -> float | None:
    """JSON has no NaN, the measure of no pixel at all."""
    return None if math.isnan(number) else number


def _load_model(model: str, device: str) -> Encoder:
    try:
        return load_encoder(model, device=device)
    except (RuntimeError, AssertionError) as error:  # as torch says that a device is not there
        problem = f"cannot use {device!r}: {str(error).splitlines()[0]}; expected a device such as cpu or cuda."
        raise InputError(problem, place="device") from error


def _refuse_fetching(model: str) -> None:
    """Raise where opening a model by name would use the network."""
    source = find_source(model, ask_library=True)
    if source is None or find_weights(source) is not None:
        return
    places = ", ".join(str(place) for place in list_places(source))
    raise ModelError(
        f"the weights of {model!r} are not on this computer; expected them in {places}. "
        f"They cannot be fetched: {offline_reason('offline')}.",
        place="model",
    )


if __name__ == "__main__":
    sys.exit(main())
