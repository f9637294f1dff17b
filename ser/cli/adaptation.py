"""The commands that teach a model a voice, and test how much that helps."""

from __future__ import annotations

import argparse
import os
from typing import Any

from ser.cli.output import print_skipped
from ser.errors import DataError, OutputError


def study(options: argparse.Namespace) -> None:
    """Say how much a model would gain by learning voices."""
    from ser.data.inspection import inspect_corpus
    from ser.evaluation import few_shot
    from ser.models.adaptation import enrol
    from ser.models.recognizer import Recognizer

    unknown: tuple[Any, ...] = (
        options.html,
        options.csv,
        options.latex,
        options.emotions,
        options.listen,
    )
    unknown = (*unknown, options.out, options.resume, options.cluster)
    if any(unknown) or options.robustness:
        raise DataError(
            "--protocol few-shot knows --json, but none of --html, --csv, --latex, --robustness, "
            "--emotions, --listen, --out, --resume and --cluster."
        )
    recognizer = Recognizer.load(options.model)
    corpus = inspect_corpus(options.data, n_jobs=options.n_jobs)
    report = few_shot.study(
        recognizer,
        enrol(recognizer, corpus.clips, n_jobs=options.n_jobs),
        shots=5 if options.shots is None else options.shots,
        repeats=10 if options.repeats is None else options.repeats,
        seed=options.seed,
    )
    if options.json:
        report.save(options.json)
    print(f"\n{report.n_clips} clips: {report.protocol_in_words}")
    if report.n_seen_in_training:
        print(f"WARNING: {report.n_seen_in_training} of them were seen in training.")
    print(f"\n  {'speaker':14} clips  accuracy before  after    UAR before  after")
    rows = [(row.speaker, row.n, row.before, row.after) for row in report.speakers]
    for name, n, old, new in [*rows, ("mean", report.n_clips, report.before, report.after)]:
        print(
            f"  {name:14} {n:5} {old.accuracy:16.1%} {new.accuracy:6.1%} "
            f"{old.uar:13.1%} {new.uar:6.1%}"
        )
    for row in report.left_out:
        print(f"  {row.speaker}: left out, {row.reason}")
    print_skipped(corpus.skipped)


def adapt(options: argparse.Namespace) -> None:
    """Adapt a model to a voice."""
    from ser.data.inspection import inspect_corpus
    from ser.evaluation import few_shot
    from ser.models.adaptation import enrol
    from ser.models.recognizer import Recognizer

    if os.path.isdir(options.out) and os.listdir(options.out):
        raise OutputError(f"{options.out} is not empty. Give a new folder.")
    recognizer = Recognizer.load(options.model)
    corpus = inspect_corpus(options.data, n_jobs=options.n_jobs)
    clips = corpus.clips
    if options.shots is not None:
        if options.shots < 1:
            raise DataError("--shots must be 1 or more.")
        clips = few_shot.choose(clips, options.shots, seed=options.seed)
    enrolment = enrol(recognizer, clips, n_jobs=options.n_jobs)
    result = few_shot.adapt(recognizer, enrolment, options.out).adaptation
    assert result is not None
    if options.json:
        result.save(options.json)
    print(f"\n{result.sentence}\n{result.advice}")
    for note in result.notes:
        print(note)
    before, after = result.before, result.after
    print(f"\n  {'':26} before   after")
    print(f"  {'accuracy':26} {before.accuracy:6.1%}  {after.accuracy:6.1%}")
    print(f"  {'unweighted average recall':26} {before.uar:6.1%}  {after.uar:6.1%}")
    print_skipped(corpus.skipped)
    print(f"\nThe adapted model and its MODEL_CARD.md are in {options.out}")
