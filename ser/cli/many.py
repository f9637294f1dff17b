"""The commands for more clips than memory holds, see `ser.shards`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from ser.errors import DataError
from ser.labels import EMOTIONS
from ser.utils.places import join

if TYPE_CHECKING:
    from ser.evaluation.report import Report
    from ser.shards.labelled import Names
    from ser.shards.store import Job, Work
    from ser.shards.tables import Counts


SHARD = 500
"""Clips that are done and kept together: ten seconds of work or more."""


def without_store(options: argparse.Namespace) -> None:
    """Refuse to go on with what was not kept."""
    if options.resume:
        raise DataError("--resume goes on with what --out DIR has kept; give --out with a folder.")
    if options.cluster:
        raise DataError("--cluster is for work that is kept shard by shard; give --out DIR.")
    if options.per_shard:
        raise DataError("--per-shard is for what --out DIR keeps; give --out with a folder.")


def _size(options: argparse.Namespace) -> int:
    return options.per_shard or SHARD


def predict(options: argparse.Namespace) -> None:
    """Name the emotion in files, folders and manifests."""
    from ser.shards.prediction import LEFT_OUT, PREDICTIONS, predict_into

    if options.timeline or options.same_voice or options.format != "table":
        raise DataError("--out answers clip by clip: leave out --timeline, --same-voice, --format.")
    good, bad = predict_into(
        options.out,
        options.paths,
        model=options.model,
        emotions=options.emotions or (),
        resume=options.resume,
        size=_size(options),
        n_jobs=options.n_jobs,
        cluster=options.cluster,
    )
    print(f"{good} clips: {join(options.out, PREDICTIONS)}")
    _refuse(bad, good + bad, join(options.out, LEFT_OUT))


def scan(options: argparse.Namespace) -> None:
    """List the clips of a corpus."""
    from ser.shards import labelled
    from ser.shards.manifest import find_clips, write_manifest
    from ser.shards.tables import write_tables

    if options.csv or options.health or options.doubtful is not None:
        raise DataError("--out holds no table of clips: leave out --csv, --health, --doubtful.")
    names = _names(options, options.corpus)
    job = _work_through(
        options, find_clips([options.corpus]), labelled.Scan(names), "Opening clips"
    )
    clips, skipped = join(options.out, "clips.csv"), join(options.out, "skipped.csv")
    counts = write_tables(job, clips, skipped, labelled.is_clip, emotion="emotion")
    _need_some(counts, options.corpus, skipped)
    write_manifest(join(options.out, "clips.parquet"), labelled.usable(job), size=_size(options))
    found = labelled.Summary.of(job)
    hours = sum(found.minutes.values()) / 60
    print(f"{counts.used} clips, {hours:.2f} hours, {len(found.speakers)} speakers: {clips}\n")
    print("emotion    clips  minutes")
    for emotion in EMOTIONS:
        if emotion in found.clips:
            print(f"{emotion:10} {found.clips[emotion]:5} {found.minutes[emotion]:8.1f}")
    if found.duplicates:
        print(f"\n{found.duplicates} clips have the same audio as another (column audio).")
    _say_left_out(counts, skipped)
    _refuse(counts.refused, job.clips, skipped)


def estimate(options: argparse.Namespace) -> None:
    """Say how long the commands will take with a corpus, and how much memory."""
    import joblib

    from ser.assets import DEFAULT_MODEL
    from ser.shards import labelled
    from ser.shards.estimate import PER_WORKER, draw, estimates
    from ser.shards.manifest import find_clips, need_pyarrow
    from ser.shards.prediction import Prediction

    if options.out or options.csv or options.health or options.doubtful is not None:
        raise DataError("--estimate tries few clips: leave out --out, --csv, --health, --doubtful.")
    without_store(options)
    need_pyarrow()
    names, model = _names(options, options.corpus), Prediction.by(DEFAULT_MODEL)
    workers = joblib.effective_n_jobs(options.n_jobs)
    clips, found = draw(find_clips([options.corpus]), PER_WORKER * workers)
    works: dict[str, Work] = {
        "scan": labelled.Scan(names),
        "features": labelled.FeatureMaking(names),
        "predict": model,
        "evaluate": labelled.Evaluation(names, model),
    }
    tried = list(estimates(works, clips, workers=workers))
    by = f"{workers} worker{'s' * (workers > 1)}"
    print(f"{found} clips, of which {by} tried {len(clips)}; the model is everyday\n")
    print("command   clips per second  all clips (h:mm:ss)  MB per worker")
    for each in tried:
        duration = timedelta(seconds=ceil(each.seconds(found)))
        print(f"{each.command:9} {each.rate:16.1f} {duration!s:>20} {each.megabytes:14.0f}")


def features(options: argparse.Namespace) -> None:
    """Write the model inputs of a corpus."""
    from ser.shards import labelled
    from ser.shards.manifest import find_clips
    from ser.shards.tables import write_tables

    work = labelled.FeatureMaking(_names(options, options.corpus))
    job = _work_through(options, find_clips([options.corpus]), work, "Computing features")
    clips, skipped = join(options.out, "clips.csv"), join(options.out, "skipped.csv")
    counts = write_tables(job, clips, skipped, labelled.is_clip, emotion="emotion")
    _need_some(counts, options.corpus, skipped)
    print(f"{counts.used} clips: {clips}; their features are in {join(options.out, 'parts')}")
    _say_left_out(counts, skipped)
    _refuse(counts.refused, job.clips, skipped)


def evaluate(options: argparse.Namespace) -> tuple[Report, Any]:
    """Test a model on a corpus; returns the report and what to do after it was written."""
    from ser.shards import labelled
    from ser.shards.manifest import find_clips
    from ser.shards.prediction import Prediction, was_answered
    from ser.shards.tables import write_tables

    if options.robustness or options.listen:
        raise DataError("--out answers clip by clip: leave out --robustness and --listen.")
    work = labelled.Evaluation(
        _names(options, options.data),
        Prediction.by(options.model, tuple(options.emotions or ())),
    )
    clips = work.checked(find_clips([options.data]))
    job = _work_through(options, clips, work, "Listening")
    predictions, skipped = join(options.out, "predictions.csv"), join(options.out, "skipped.csv")
    counts = write_tables(job, predictions, skipped, was_answered, emotion="truth")
    _need_some(counts, options.data, skipped)
    report = work.report(job, protocol=options.protocol, seed=options.seed)

    def finish() -> None:
        _say_left_out(counts, skipped)
        _refuse(counts.refused, job.clips, skipped)

    return report, finish


def _names(options: argparse.Namespace, location: Any) -> Names:
    from ser.shards.labelled import Names

    return Names.of(location, options.parser)


def _work_through(
    options: argparse.Namespace, clips: Iterable[Any], work: Work, description: str
) -> Job:
    from ser.shards.work import work_through

    return work_through(
        options.out,
        clips,
        work,
        description,
        resume=options.resume,
        size=_size(options),
        n_jobs=options.n_jobs,
        cluster=options.cluster,
    )


def _need_some(counts: Counts, place: Any, table: Any) -> None:
    if not counts.used:
        raise DataError(f"{place} holds no clip that can be used; {table} says why.")


def _say_left_out(counts: Counts, table: Any) -> None:
    if counts.others:
        print(f"\nLeft out, as no clip of a known emotion: {counts.others}; {table} says why.")


def _refuse(bad: int, clips: int, table: Any) -> None:
    if bad:
        raise DataError(f"{bad} of {clips} clips cannot be used; {table} says why.")
