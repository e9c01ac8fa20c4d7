"""A batch whose images are run by workers of Ray, with the same files, the same manifest and the same `--resume`.

A worker makes the files of an image and puts them in place; the record comes back in a row of a Ray data set, and
only this process writes it into the manifest. So what is done is known by the same lines whoever did it, and a batch
that was begun by one engine can be finished by the other. Ray's own checkpoints would keep a second account, which
does not see that the content of an image has changed or that a file is gone; they are not used.

The rows are numbers of images, not their bytes (`ray.data.read_binary_files`): a worker reads an image where the
other engine does, so a file that cannot be read is the failure of one row and not that of a task, addresses are
opened by the same code, and images do not fill Ray's memory.

Not here: the worker (`worker`), Ray itself (`cluster`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..addresses import Location
from ..batch import BatchImage, ImageSlot
from ..batch_runs import BatchRun
from ..commands import FAILED, INTERRUPTED
from ..errors import InputError
from ..graph import RunResult, StoredResult, validate_prompt
from ..reporting import Reporter
from ..runner import Job, Runner, RunnerSettings
from ..tally import Tally, Tell
from .beforehand import find_shared, is_plain, nodes_behind
from .cluster import Share, check_address, connected, import_ray, share_out
from .reports import Report
from .worker import Task, Worker

__all__ = ["Plan", "run_on_ray"]

ROW_IMAGES = 4  # run in one go: Ray takes some milliseconds for each


@dataclass(frozen=True)
class Plan:
    """What workers do, and where they are.

    Args:
        root: the module whose `load_nodes` loads the nodes; workers import it.
        job: the workflow.
        slot: where an image goes.
        address: of the cluster; empty for workers on this machine.
        jobs: how many workers; None for what suits the cluster.
        debug: whether Ray is heard.
    """

    root: str
    job: Job
    slot: ImageSlot
    address: str = ""
    jobs: int | None = None
    debug: bool = False


def run_on_ray(
    plan: Plan, batch: BatchRun, images: Sequence[BatchImage], runner: Runner, reporter: Reporter, tell: Tell
) -> int:
    """Run every image that is due; gives the exit code.

    Args:
        plan: what workers do.
        batch: the output folder; not opened.
        images: all of them.
        runner: of this process; its settings are those of the workers.
        reporter: is told of each image when it is done.
        tell: is given what ran and the folder where its files are now.

    Raises:
        InputError: Ray is not installed or does not answer, or what `BatchRun` raises.
        LLMSegError: the workers gave up.
    """
    import_ray(plan.address)
    check_address(plan.address)
    with batch.opened(), ExitStack() as stack:
        failed, known, job = _compute_beforehand(plan, runner)
        if failed is not None:
            tell(failed, None)
            return FAILED
        task = Task(
            root=plan.root,
            settings=_elsewhere(runner.settings),
            job=job,
            slot=plan.slot,
            images=images,
            done=_done(batch, images),
            known=known,
            batch=BatchRun(_absolute(batch.output), batch.workflow, resume=False),
            folder=Path.cwd(),
            mark=uuid4().hex,
        )
        ray = stack.enter_context(connected(plan.address, plan.debug))
        share = share_out(ray, plan.jobs, runner.settings.device, len(images))
        return _collect(_stream(ray, task, share, plan.debug), batch, images, reporter, tell)


def _elsewhere(settings: RunnerSettings) -> RunnerSettings:
    """The same for a process whose current folder may be another one."""
    roots = {kind: root.absolute() for kind, root in settings.roots.items()}
    return replace(settings, roots=roots, packs=tuple(pack.absolute() for pack in settings.packs))


def _absolute(output: Location) -> Location:
    return output.absolute() if isinstance(output, Path) else output


def _collect(
    reports: Iterator[tuple[int, Report]],
    batch: BatchRun,
    images: Sequence[BatchImage],
    reporter: Reporter,
    tell: Tell,
) -> int:
    """Write the line of each image and tell of it, as the reports come in."""
    tally = Tally(len(images), reporter)
    for count, (number, report) in enumerate(reports, 1):
        if report.refused:
            raise InputError(report.refused, place="worker")
        if report.outcome is None or report.record is None:
            tally.skip()
            continue
        image = images[number]
        tally.show(image, count)
        report.tell(reporter)
        batch.commit(report.record)
        tally.settle(image, report.outcome, tell)
        if report.outcome.code == INTERRUPTED:
            return INTERRUPTED
    return tally.finish()


def _stream(ray: Any, task: Task, share: Share, debug: bool) -> Iterator[tuple[int, Report]]:
    """The reports of all images, in the order in which they are done."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = debug
    context.print_on_execution_start = debug
    count = len(task.images)
    rows = max(1, min(ROW_IMAGES, count // (4 * share.jobs)))  # few images: let no worker wait for another
    numbers = ray.data.from_items(
        [{"number": number} for number in range(count)], override_num_blocks=-(-count // rows)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if not debug else "default")
        done = numbers.map_batches(
            Worker,
            fn_constructor_args=[[ray.put(task)]],
            batch_size=None,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=share.jobs, max_tasks_in_flight_per_actor=2),
            num_cpus=share.cpus,
            num_gpus=share.gpus,
        )
        for rows_done in done.iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy"):
            for number, report in zip(rows_done["number"], rows_done["report"], strict=True):
                yield int(number), Report.unpack(str(report))


def _done(batch: BatchRun, images: Sequence[BatchImage]) -> dict[int, str]:
    """What the content of images must be for the manifest to call them done, by number; workers look at it."""
    if not batch.resume:
        return {}
    known = ((number, batch.manifest.records.get(image.name)) for number, image in enumerate(images))
    listed = [(number, record) for number, record in known if record is not None]
    return {
        number: record.sha256
        for number, record in listed
        if batch.manifest.finished(images[number].name, record.sha256, batch.workflow)
    }


def _compute_beforehand(plan: Plan, runner: Runner) -> tuple[RunResult | None, dict[str, StoredResult], Job]:
    """Compute what no image changes.

    Returns:
        The outcome if something failed and nothing can go on without it; the results by node id; the job as workers
        get it, in which what was checked here reads as it was coerced.
    """
    job, slot_node = plan.job, plan.slot.node_id
    checked = validate_prompt(job.prompt, runner.classes, targets=job.targets, known={slot_node})
    shared = find_shared(checked.prompt, slot_node, checked.outputs, runner.definitions(), runner.classes)
    if not shared:
        return None, {}, job
    result, found = runner.compute(checked.prompt, shared)
    if result.errors and not runner.settings.keep_going:
        return result, {}, job
    known = {node_id: stored for node_id, stored in found.items() if is_plain(stored)}
    covered = nodes_behind(checked.prompt, list(known))
    prompt = {**job.prompt, **{node_id: checked.prompt[node_id] for node_id in covered}}
    return None, known, replace(job, prompt=prompt)
