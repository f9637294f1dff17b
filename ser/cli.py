"""The command line: ``python -m ser``, or ``ser`` once installed."""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

import ser
import ser.labels
from ser.assets import MODELS, SAMPLES, SHIPPED_MODEL
from ser.errors import DataError, SerError, Stopped

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ser.evaluation.report import Report
    from ser.utils.settings import Settings

_EXAMPLES = """\
examples:
  ser predict my-voice.wav                          which emotion is it?
  ser predict interview.mp3 --timeline              and every second of a long recording
  ser scan data/samples                             what is in this folder?
  ser plot my-voice.wav --out my-voice.png          what does the model see?
  ser app                                           all of that in a browser
  ser train --data data/samples --out runs/first    train a model of your own
  ser evaluate runs/first --data data/samples --json report.json

'ser COMMAND --help' explains every option.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0 on success, 2 on input that cannot be used (with one line on stderr), 130 when stopped.
    """
    # `kill` asks for the same as Ctrl-C: leave a run that can be resumed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = _parser().parse_args(arguments)
        _load_parsers(options)
        options.run(options)
        sys.stdout.flush()
    except SerError as error:
        print(f"ser: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"\n{stopped}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\nser: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print("ser: the disk is full. Free some space and try again.", file=sys.stderr)
        return 2
    return 0


def _load_parsers(options: argparse.Namespace) -> None:
    for file in getattr(options, "parser", []):
        from ser.data.parsers import load_parsers

        load_parsers(file)


def _parser() -> argparse.ArgumentParser:
    from ser.data.splits import FOLDS

    parser = argparse.ArgumentParser(
        prog="ser",
        description="Speech emotion recognition: name the emotion in short clips of speech.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ser {ser.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Any, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(run=run)
        return sub

    sub = command("app", _app, "open the web app, until Ctrl-C")
    sub.add_argument("--port", type=_port, metavar="N", help="the first free one from 8501")
    sub.add_argument(
        "--address",
        metavar="HOST",
        default="localhost",
        help="where to listen; 0.0.0.0 lets other computers in (localhost)",
    )
    sub.add_argument(
        "--no-browser", dest="browser", action="store_false", help="do not open a browser"
    )

    command("info", _info, "versions, models with their figures, and corpora found here")

    sub = command("cache", _cache, "how much is kept on disk to save time, and delete it")
    sub.add_argument("--clear", action="store_true", help="delete all of it; it is made again")

    sub = command("scan", _scan, "list the clips of a corpus, and what was left out and why")
    _corpus(sub, "corpus")
    sub.add_argument("--csv", type=Path, metavar="FILE", help="write the table of clips here")
    _jobs(sub)

    sub = command("download", _download, "fetch RAVDESS (434 MB, CC BY-NC-SA 4.0) from Zenodo")
    sub.add_argument("corpus", choices=["ravdess"], help="which corpus")
    sub.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder for the clips")
    sub.add_argument("--url", metavar="URL", help="another server with the same two archives")

    sub = command("plot", _plot, "draw a clip: waveform, spectrogram, MFCCs, the model's input")
    sub.add_argument("clip", type=Path, metavar="CLIP", help="an audio file")
    sub.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="a .png, or an .html to hover over"
    )

    sub = command("features", _features, "write the model inputs of a corpus as a NumPy archive")
    _corpus(sub, "corpus")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .npz file")
    _jobs(sub)

    sub = command("train", _train, "train a model, test it on unseen clips, write a report")
    sub.add_argument("--out", type=Path, metavar="RUN", help="new folder for everything it makes")
    sub.add_argument("--resume", type=Path, metavar="RUN", help="go on with a stopped run instead")
    sub.add_argument(
        "--background",
        action="store_true",
        help="as the app does: wait until no other run in the same folder is being trained, and "
        "write a line for every step and epoch to stderr",
    )
    _jobs(sub)
    _training_options(sub)

    sub = command("evaluate", _evaluate, "test a model on a corpus")
    sub.add_argument("model", type=Path, metavar="BUNDLE_OR_RUN", help="a folder with a model")
    _corpus(sub, "--data")
    sub.add_argument(
        "--protocol",
        choices=["random", "all", "few-shot"],
        default="random",
        help="random: the test clips of the random split, which the model must not have heard "
        "(default); all: every clip; few-shot: learn some recordings of each speaker, test the "
        "rest",
    )
    sub.add_argument("--seed", type=_seed, default=42, help="of the split or the draws (42)")
    sub.add_argument("--shots", type=int, metavar="N", help="of few-shot (5)", default=5)
    sub.add_argument("--repeats", type=int, metavar="N", help="draws of few-shot (10)", default=10)
    sub.add_argument(
        "--robustness",
        action="store_true",
        help="also in noise, rooms and codecs, and on non-speech",
    )
    sub.add_argument("--json", type=Path, metavar="FILE", help="write the report here")
    sub.add_argument("--html", type=Path, metavar="FILE", help="and as a page here")
    sub.add_argument("--csv", type=Path, metavar="FILE", help="and every prediction here")
    _jobs(sub)

    sub = command(
        "adapt", _adapt, "adapt a model to a voice with a few labelled recordings (few-shot)"
    )
    sub.add_argument("model", type=Path, metavar="BUNDLE", help="the model, which stays as it is")
    _corpus(sub, "--data")
    sub.add_argument("--out", type=Path, required=True, metavar="BUNDLE2", help="new folder")
    sub.add_argument("--shots", type=int, metavar="N", help="draw so many (all)")
    sub.add_argument("--seed", type=_seed, default=42, help="of the draw (42)")
    sub.add_argument("--json", type=Path, metavar="FILE", help="write before and after here")
    _jobs(sub)

    sub = command("crossval", _crossval, "train and test once per fold: every clip is unseen once")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    sub.add_argument("--resume", action="store_true", help="keep the folds already finished")
    sub.add_argument("--json", type=Path, metavar="FILE", help="write the report here as well")
    _jobs(sub)
    _training_options(sub, without=["fold"], protocol=next(iter(FOLDS)))

    sub = command("predict", _predict, "name the emotion in audio files")
    sub.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="audio files or folders")
    sub.add_argument(
        "--model", type=Path, default=SHIPPED_MODEL, metavar="BUNDLE", help="the shipped model"
    )
    sub.add_argument("--format", choices=["table", "json", "csv"], default="table")
    sub.add_argument(
        "--timeline", action="store_true", help="every second of a recording, 3 s at a time"
    )
    _jobs(sub)
    return parser


def _corpus(parser: argparse.ArgumentParser, name: str) -> None:
    settings: dict[str, Any] = {"type": Path, "metavar": "DIR"}
    if name.startswith("-"):
        settings["required"] = True
    parser.add_argument(
        name, **settings, help="folder of clips (RAVDESS, EMO-DB, a folder per emotion), or a CSV"
    )
    parser.add_argument(
        "--parser",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a Python file that registers a parser of other file names, see "
        "ser.data.parsers.register_parser; may be given again",
    )


def _jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--n-jobs", type=_workers, default=-1, metavar="N", help="parallel workers (one per core)"
    )


def _workers(text: str) -> int:
    if (count := int(text)) < 1 and count != -1:
        raise argparse.ArgumentTypeError("use 1 or more, or -1 for one per core")
    return count


def _seed(text: str) -> int:
    if not 0 <= (seed := int(text)) < 2**32:
        raise argparse.ArgumentTypeError("use 0 to 4294967295")
    return seed


def _port(text: str) -> int:
    if not 1 <= (port := int(text)) <= 65_535:
        raise argparse.ArgumentTypeError("use 1 to 65535")
    return port


def _training_options(
    parser: argparse.ArgumentParser, *, without: Sequence[str] = (), **base: Any
) -> None:
    """Add an option for every field of the configurations of training and model."""
    from ser.training.config import PRESETS, configure

    group = parser.add_argument_group(
        "configuration", "A preset, over it a file, and over both every option that is given."
    )
    sizes = "; ".join(
        f"{name}: {values['epochs']} epochs, {values['copies']} augmented copies per clip, "
        f"{values['model'].members} network{'s' * (values['model'].members > 1)}"
        for name, values in PRESETS.items()
    )
    group.add_argument(
        "--preset",
        choices=list(PRESETS),
        help="full is the shipped model's (default), unseen-speakers is for voices that are not "
        f"in the corpus; {sizes}",
    )
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="a TOML file, or a run or its config.json"
    )
    usual = configure({"data": ""}, base)
    _options(group, usual, without=["model", "preset", *without])
    _options(parser.add_argument_group("size of the network"), usual.model)


def _options(group: Any, defaults: Settings, without: Sequence[str] = ()) -> None:
    """Add an option for every field of a configuration."""
    from ser.utils.settings import fields_of

    for name, field in fields_of(type(defaults)).items():
        if name not in without:
            _option(group, name, field, getattr(defaults, name))


_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "DIR"}


def _option(group: Any, name: str, field: FieldInfo, default: Any) -> None:
    """Add the option of a field of a configuration, from what is declared of it."""
    from ser.utils.settings import possible

    settings: dict[str, Any] = {"metavar": _METAVARS.get(field.annotation, "WHICH")}
    if field.annotation is bool:
        settings = {"action": argparse.BooleanOptionalAction}
    elif field.annotation in (int, float, str):
        settings["type"] = field.annotation
    elif get_origin(field.annotation) is tuple:
        settings |= {"type": _numbers, "metavar": "N,N,…"}
    usual = f"; default {_as_given(default)}" if default != "" else ""
    words = f"{field.description} ({possible(field)}{usual})".replace("%", "%%")
    group.add_argument(f"--{name.replace('_', '-')}", default=None, help=words, **settings)


def _as_given(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _app(options: argparse.Namespace) -> None:
    from ser.app import server

    server.serve(port=options.port, address=options.address, browser=options.browser)


def _info(options: argparse.Namespace) -> None:
    from ser.app import workspace
    from ser.data import corpora
    from ser.evaluation.report import Report
    from ser.models import bundle
    from ser.training import pipeline

    environment = pipeline.environment()
    print(f"ser {ser.__version__}, Python {environment['python']}, {environment['system']}")
    versions = ((k, v) for k, v in environment["versions"].items() if k != "ser")
    print("  " + ", ".join(f"{name} {number}" for name, number in versions))
    print("\nModels")
    for folder in bundle.find_bundles(MODELS):
        report = Report.find(folder / "report.json")
        found = "no report"
        if report is not None:
            low, high = report.accuracy_interval
            found = (
                f"accuracy {report.accuracy:.1%} (95 %: {low:.1%} to {high:.1%}), weighted F1 "
                f"{report.weighted_f1:.3f} on {report.n_test} test clips, protocol "
                f"{report.protocol}"
            )
        print(f"  {_shown(folder)}: {found}")
    print("\nCorpora")
    for folder in [SAMPLES, *workspace.corpora()]:
        try:
            clips = corpora.scan(folder).clips
        except DataError:
            continue
        print(f"  {_shown(folder)}: {len(clips)} clips, {clips['speaker'].nunique()} speakers")


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _cache(options: argparse.Namespace) -> None:
    from ser.data import cache

    if options.clear:
        print(f"Freed: {cache.clear() / 1e6:.1f} MB")
    print(f"The cache is in {cache.cache_folder()}.")
    for kind, (files, size) in cache.usage().items():
        print(f"  {kind:10} {files:7} files {size / 1e6:10.1f} MB")
    print(f"Of features at most {cache.LIMIT_BYTES / 1e9:.0f} GB are kept, those used last.")


def _scan(options: argparse.Namespace) -> None:
    from ser.data import corpora
    from ser.data.inspection import inspect_corpus
    from ser.utils.files import atomic_path

    corpus = inspect_corpus(options.corpus, n_jobs=options.n_jobs)
    clips = corpus.clips
    if options.csv:
        with atomic_path(options.csv) as temporary:
            clips.to_csv(temporary, index=False, float_format="%.4f")
        print(f"Written: {options.csv}")
    speakers = clips.loc[clips["speaker"] != "", "speaker"].nunique()
    hours = clips["seconds"].sum() / 3600
    print(f"{len(clips)} clips, {hours:.2f} hours, {speakers} speakers\n")
    counts = clips.groupby("emotion").agg(clips=("name", "size"), minutes=("seconds", "sum"))
    counts["minutes"] = (counts["minutes"] / 60).round(1)
    order = [e for e in ser.labels.EMOTIONS if e in counts.index]
    print(counts.loc[order].to_string())
    duplicated = corpora.duplicates(clips)
    if len(duplicated):
        print(f"\n{len(duplicated)} clips with the same audio as another:")
        print(duplicated[["name", "audio"]].to_string(index=False))
    _print_skipped(corpus.skipped)


def _print_skipped(skipped: Any) -> None:
    if len(skipped):
        print(f"\n{len(skipped)} files left out:")
        for reason, files in skipped.groupby("reason", sort=False):
            print(f"  {len(files)} × {reason} (such as {Path(files['path'].iloc[0]).name})")


def _download(options: argparse.Namespace) -> None:
    from ser.data import download

    print(download.LICENCE, file=sys.stderr)
    url = {"url": options.url} if options.url else {}
    with download.progress_bars() as progress:
        folder = download.download_ravdess(options.to, progress=progress, **url)
    print(f"RAVDESS is in {folder}. Look at it with: ser scan {folder}")


def _plot(options: argparse.Namespace) -> None:
    from ser import audio, plots

    if options.out.suffix.lower() not in (".png", ".html"):
        raise DataError(f"Cannot draw {options.out}: the name must end in .png or .html.")
    figure = plots.clip_figure(audio.load_audio(options.clip), title=options.clip.name)
    plots.save_chart(figure, options.out)
    print(f"Written: {options.out}")


def _features(options: argparse.Namespace) -> None:
    from ser.data import feature_cache
    from ser.data.inspection import inspect_corpus

    corpus = inspect_corpus(options.corpus, n_jobs=options.n_jobs)
    clips = corpus.clips
    inputs = feature_cache.compute_features(clips["path"].tolist(), n_jobs=options.n_jobs)
    feature_cache.save_features(
        options.out, inputs, clips["emotion"].tolist(), clips["name"].tolist()
    )
    shape = " × ".join(map(str, inputs["features"].clean.shape))
    print(f"Written: {options.out} ({shape})")
    _print_skipped(corpus.skipped)


def _train(options: argparse.Namespace) -> None:
    import pandas as pd

    from ser.app import processes
    from ser.training import pipeline
    from ser.training.runs import Run

    if options.resume:
        settings = {"background", "n_jobs", "parser", "resume", "run"}
        if given := [k for k, v in vars(options).items() if k not in settings and v is not None]:
            raise DataError(
                f"--resume knows its corpus, folder and settings; leave out "
                f"{', '.join('--' + name.replace('_', '-') for name in given)}."
            )
        run = Run(options.resume)
    else:
        if not options.out:
            raise DataError("ser train needs --data DIR and --out RUN, or --resume RUN.")
        run = pipeline.start(options.out, _config(options))
    with pipeline.working_on(run) as config, processes.obeying_stop(run):
        if options.background:
            processes.log_steps()
            processes.wait_for_turn(run)
        _warm_up_tensorflow(members=config.model.members)
        result = pipeline.train(run, n_jobs=options.n_jobs)
    _print_figures(result)
    _print_robustness(result)
    _print_skipped(pd.read_csv(run.folder / "skipped.csv", dtype=str))
    print(f"\nModel, report.html and MODEL_CARD.md are in {run.folder}")


def _config(options: argparse.Namespace, **base: Any) -> Any:
    """Build the configuration: `base`, a preset, over them a file, over all what was given."""
    from ser.data import corpora
    from ser.models.networks import ModelConfig
    from ser.training.config import TrainingConfig, configure, read_config
    from ser.utils.settings import fields_of

    def given(settings: Any) -> dict[str, Any]:
        names = fields_of(settings)
        return {k: v for k, v in vars(options).items() if k in names and v is not None}

    file = read_config(options.config) if options.config else {}
    options_given = given(TrainingConfig) | {"model": given(ModelConfig)}
    if "data" not in file | options_given:
        raise DataError("Which corpus? Give --data DIR, or data in the file of --config.")
    config = configure(base, file, options_given)
    corpora.scan(config.data)  # refuse a wrong folder before anything is made
    return config


def _evaluate(options: argparse.Namespace) -> None:
    from ser.data import corpora
    from ser.evaluation import rendering
    from ser.evaluation.evaluate import evaluate_corpus
    from ser.training.runs import Run
    from ser.utils.files import atomic_path, write_text

    if options.protocol == "few-shot":
        return _evaluate_adaptation(options)
    recognizer = _load(options.model)
    corpus = corpora.inspect(corpora.scan(options.data), n_jobs=options.n_jobs)
    report = evaluate_corpus(
        recognizer,
        options.data,
        corpus=corpus,
        protocol=options.protocol,
        seed=options.seed,
        robustness=options.robustness,
        n_jobs=options.n_jobs,
    )
    # Files first: a reader of the output that leaves early (head) must not cost them.
    if options.csv:
        with atomic_path(options.csv) as temporary:
            report.predictions.to_csv(temporary, index=False, float_format="%.5f")
    if options.html:
        write_text(options.html, rendering.to_html(report, Run(options.model).read_epochs()))
    if options.json:
        report.save(options.json)
    _print_figures(report)
    _print_robustness(report)
    _print_skipped(corpus.skipped)


def _evaluate_adaptation(options: argparse.Namespace) -> None:
    from ser.data.inspection import inspect_corpus
    from ser.evaluation import few_shot
    from ser.models.adaptation import enrol

    if options.html or options.csv or options.robustness:
        raise DataError(
            "--protocol few-shot knows --json, but neither --html, --csv nor --robustness."
        )
    recognizer = _load(options.model)
    corpus = inspect_corpus(options.data, n_jobs=options.n_jobs)
    report = few_shot.study(
        recognizer,
        enrol(recognizer, corpus.clips, n_jobs=options.n_jobs),
        shots=options.shots,
        repeats=options.repeats,
        seed=options.seed,
    )
    if options.json:
        report.save(options.json, indent=2)
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
    _print_skipped(corpus.skipped)


def _adapt(options: argparse.Namespace) -> None:
    from ser.data.inspection import inspect_corpus
    from ser.evaluation import few_shot
    from ser.models.adaptation import enrol

    recognizer = _load(options.model)
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
        result.save(options.json, indent=2)
    print(f"\n{result.sentence}\n{result.advice}")
    for note in result.notes:
        print(note)
    before, after = result.before, result.after
    print(f"\n  {'':26} before   after")
    print(f"  {'accuracy':26} {before.accuracy:6.1%}  {after.accuracy:6.1%}")
    print(f"  {'unweighted average recall':26} {before.uar:6.1%}  {after.uar:6.1%}")
    _print_skipped(corpus.skipped)
    print(f"\nThe adapted model and its MODEL_CARD.md are in {options.out}")


def _crossval(options: argparse.Namespace) -> None:
    from ser.data.splits import FOLDS
    from ser.training import cross_validation

    config = replace(_config(options, protocol=next(iter(FOLDS))), fold=0)
    _warm_up_tensorflow(members=config.model.members)
    report = cross_validation.cross_validate(
        options.out, config, resume=options.resume, n_jobs=options.n_jobs
    )
    for fold in report.folds:
        print(f"fold {fold.fold}: accuracy {fold.accuracy:.1%}, UAR {fold.uar:.1%}")
    _print_figures(report)
    if options.json:
        report.save(options.json)
    print(f"\nreport.json and one run per fold are in {options.out}")


def _print_figures(report: Report) -> None:
    print(f"\n{report.n_test} test clips: {report.protocol_in_words}")
    if report.n_seen_in_training:
        print(f"WARNING: {report.n_seen_in_training} of them were seen in training.")
    for word, share, (low, high) in (
        ("accuracy", report.accuracy, report.accuracy_interval),
        ("weighted F1", report.weighted_f1, report.weighted_f1_interval),
        ("macro F1", report.macro_f1, report.macro_f1_interval),
        ("unweighted average recall", report.uar, report.uar_interval),
    ):
        print(f"  {word:26} {share:6.1%}   95 %: {low:.1%} to {high:.1%}")
    print(f"  {'calibration error (ECE)':26} {report.ece:6.3f}")
    print(f"\n  {'':10} precision  recall     f1  clips")
    for label, c in report.classes.items():
        print(f"  {label:10} {c.precision:9.1%} {c.recall:7.1%} {c.f1:6.1%} {c.support:6}")


def _print_robustness(report: Report) -> None:
    if not report.robustness:
        return
    print(f"\n  {'condition':20} accuracy    UAR  uncertain")
    for row in report.robustness:
        print(f"  {row.label:20} {row.accuracy:8.1%} {row.uar:6.1%} {row.uncertain:10.1%}")
    sounds = sum(row.n for row in report.rejection)
    sure = sum(row.sure for row in report.rejection)
    print(f"\n  {sure} of {sounds} sounds that are no speech got a sure answer")


def _predict(options: argparse.Namespace) -> None:
    import pandas as pd

    from ser.audio import EXTENSIONS, AudioError
    from ser.models.recognizer import REFUSED

    files: list[Path] = []
    for path in options.paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS)
            if not inside:
                raise DataError(f"{path} holds no audio file.")
            files += inside
        else:
            files.append(path)
    recognizer = _load(options.model)
    refused: list[str] = []
    if options.timeline:
        tables = []
        for file in files:
            try:
                tables.append(recognizer.timeline(file))
            except AudioError as error:
                refused.append(f"{file}: {error}")
        table = pd.concat(tables, ignore_index=True) if tables else None
    else:
        table = recognizer.predict_files(files, n_jobs=options.n_jobs)
        bad = table["verdict"] == REFUSED
        refused = [f"{row.file}: {row.reason}" for row in table[bad].itertuples()]
        table = table[~bad]
    if table is not None and len(table):
        print(_formatted(table, recognizer.labels, options.format))
    if refused:
        # Whatever could be used was answered above; the rest still is an error.
        for line in refused[:-1]:
            print(f"ser: {line}", file=sys.stderr)
        raise DataError(refused[-1])


def _formatted(table: Any, labels: Sequence[str], form: str) -> str:
    from ser.models.recognizer import NO_SPEECH, SURE, UNCERTAIN

    if form == "csv":
        return str(table.to_csv(index=False, float_format="%.5f")).rstrip()
    if form == "json":
        records = []
        for row in table.to_dict("records"):
            spoken = row["emotion"] is not None
            records.append(
                {k: row[k] for k in ("file", "start", "end", "emotion", "verdict", "reason")}
                | {"probabilities": {la: row[la] for la in labels} if spoken else None}
            )
        return json.dumps(records, indent=2, ensure_ascii=False)
    shown = table[["file", "start", "end"]].copy()
    shown["emotion"] = [
        {SURE: e, UNCERTAIN: f"uncertain ({e}?)", NO_SPEECH: "(no speech)"}[v]
        for e, v in zip(table["emotion"], table["verdict"], strict=True)
    ]
    for label in labels:
        shown[label] = [f"{p:.0%}" if p == p else "" for p in table[label]]
    return str(shown.to_string(index=False, float_format=lambda v: f"{v:.2f}"))


def _load(folder: Path) -> Any:
    _warm_up_tensorflow()
    from ser.models.recognizer import Recognizer

    return Recognizer.load(folder)


def _warm_up_tensorflow(*, members: int = 1) -> None:
    """Load TensorFlow with its start-up remarks kept off the terminal, unless something fails.

    It writes them to the file descriptor before any setting is read (tensorflow issue 100442).
    """
    if sys.stderr.isatty():
        print("Loading TensorFlow …", end="\r", file=sys.stderr)
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as remarks:
        os.dup2(remarks.fileno(), 2)
        try:
            from ser.training.pipeline import share_cores

            share_cores(members)
            import tensorflow as tf

            tf.config.list_logical_devices()
            tf.get_logger().setLevel("ERROR")
        except BaseException:
            remarks.seek(0)
            os.write(terminal, remarks.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
    if sys.stderr.isatty():
        print(" " * 30, end="\r", file=sys.stderr)
