"""What each command does."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ser
from ser.assets import MODELS, SAMPLES
from ser.cli import adaptation, many
from ser.cli.output import (
    formatted,
    print_figures,
    print_robustness,
    print_skipped,
    warm_up_tensorflow,
)
from ser.errors import DataError
from ser.labels import EMOTIONS
from ser.utils.places import is_url

if TYPE_CHECKING:
    from ser.training.runs import Run


def app(options: argparse.Namespace) -> None:
    """Serve the app until it is stopped."""
    from ser.app import server

    if options.keys is not None and not options.api:
        raise DataError("--keys says who may ask the HTTP API, which comes with --api.")
    server.serve(
        port=options.port,
        address=options.address,
        browser=options.browser,
        api=options.api,
        keys=options.keys,
    )


def info(options: argparse.Namespace) -> None:
    """Say what is installed and what is found here."""
    from ser.app import workspace
    from ser.data import corpora
    from ser.evaluation.report import Report
    from ser.models import bundle
    from ser.utils.environment import environment

    here = environment()
    print(f"ser {ser.__version__}, Python {here['python']}, {here['system']}")
    versions = ((k, v) for k, v in here["versions"].items() if k != "ser")
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


def cache(options: argparse.Namespace) -> None:
    """Say what the cache holds, and empty it if asked to."""
    from ser.data import cache

    if options.clear:
        print(f"Freed: {cache.clear() / 1e6:.1f} MB")
    print(f"The cache is in {cache.cache_folder()}.")
    for kind, (files, size) in cache.usage().items():
        print(f"  {kind:10} {files:7} files {size / 1e6:10.1f} MB")
    print(f"Of features at most {cache.LIMIT_BYTES / 1e9:.0f} GB are kept, those used last.")


def scan(options: argparse.Namespace) -> None:
    """List the clips of a corpus."""
    from ser.data import corpora
    from ser.data.inspection import inspect_corpus
    from ser.utils.files import atomic_path

    if options.estimate:
        return many.estimate(options)
    if options.out:
        return many.scan(options)
    many.without_store(options)
    corpus = inspect_corpus(options.corpus, n_jobs=options.n_jobs)
    clips, doubtful = corpus.clips, None
    if options.doubtful is not None:
        from ser.training.label_errors import find_label_errors

        doubtful = find_label_errors(clips, n_jobs=options.n_jobs)
        # A CSV file may list a clip twice.
        once = doubtful[["path", "suggested", "doubt"]].drop_duplicates("path")
        clips = clips.merge(once, on="path", how="left")
    if options.csv:
        with atomic_path(options.csv) as temporary:
            clips.to_csv(temporary, index=False, float_format="%.4f")
        print(f"Written: {options.csv}")
    speakers = clips.loc[clips["speaker"] != "", "speaker"].nunique()
    hours = clips["seconds"].sum() / 3600
    print(f"{len(clips)} clips, {hours:.2f} hours, {speakers} speakers\n")
    counts = clips.groupby("emotion").agg(clips=("name", "size"), minutes=("seconds", "sum"))
    counts["minutes"] = (counts["minutes"] / 60).round(1)
    order = [e for e in EMOTIONS if e in counts.index]
    print(counts.loc[order].to_string())
    duplicated = corpora.duplicates(clips)
    if len(duplicated):
        print(f"\n{len(duplicated)} clips with the same audio as another:")
        print(duplicated[["name", "audio"]].to_string(index=False))
    if options.health:
        from ser.data.health import check_health

        print("\nHealth (! may need a look):")
        for finding in check_health(corpus.clips):
            print(f"  {'!' if finding.problem else ' '} {finding.check}: {finding.sentence}")
    if doubtful is not None:
        print("\nMost doubtful labels (confident learning; listen before you believe it):")
        shown = doubtful.head(max(options.doubtful, 0))
        names = corpora.places(shown["path"], options.corpus)
        print(shown.assign(path=names).round(2).to_string(index=False))
    print_skipped(corpus.skipped)


def download(options: argparse.Namespace) -> None:
    """Fetch RAVDESS."""
    from ser.data import download

    print(download.LICENCE, file=sys.stderr)
    url = {"url": options.url} if options.url else {}
    with download.progress_bars() as progress:
        folder = download.download_ravdess(options.to, progress=progress, **url)
    print(f"RAVDESS is in {folder}. Look at it with: ser scan {folder}")


def plot(options: argparse.Namespace) -> None:
    """Draw a clip."""
    from ser.utils.extras import DRAWS, need

    need("train", *DRAWS)
    from ser import audio, plots

    if options.out.suffix.lower() not in (".png", ".html"):
        raise DataError(f"Cannot draw {options.out}: the name must end in .png or .html.")
    figure = plots.clip_figure(audio.load_audio(options.clip), title=options.clip.name)
    plots.save_chart(figure, options.out)
    print(f"Written: {options.out}")


def features(options: argparse.Namespace) -> None:
    """Write the model inputs of a corpus."""
    from ser.data import feature_cache
    from ser.data.inspection import inspect_corpus

    if is_url(options.out) or options.out.suffix.lower() != ".npz":
        return many.features(options)
    many.without_store(options)
    corpus = inspect_corpus(options.corpus, n_jobs=options.n_jobs)
    clips = corpus.clips
    inputs = feature_cache.compute_features(clips["path"].tolist(), n_jobs=options.n_jobs)
    feature_cache.save_features(
        options.out, inputs, clips["emotion"].tolist(), clips["name"].tolist()
    )
    shape = " × ".join(map(str, inputs["features"].clean.shape))
    print(f"Written: {options.out} ({shape})")
    print_skipped(corpus.skipped)


def train(options: argparse.Namespace) -> None:
    """Train a model, or go on where a training was stopped."""
    from ser.training import ensembles, pipeline, queue
    from ser.training.runs import Run

    if options.resume:
        settings = {"cluster", "n_jobs", "parser", "resume", "run"}
        if given := [k for k, v in vars(options).items() if k not in settings and v is not None]:
            raise DataError(
                f"--resume knows its corpus, folder and settings; leave out "
                f"{', '.join('--' + name.replace('_', '-') for name in given)}."
            )
        run = Run(options.resume)
    else:
        if not options.out:
            raise DataError("ser train needs --data DIR and --out RUN, or --resume RUN.")
        config = _config(options)
        if options.cluster:
            ensembles.check(config)
        pipeline.check(options.out, config, n_jobs=options.n_jobs)
        run = pipeline.start(options.out, config)
    with pipeline.working_on(run), queue.obeying_stop(run):
        train_run(run, n_jobs=options.n_jobs, cluster=options.cluster)


def train_run(run: Run, *, n_jobs: int, cluster: str = "") -> None:
    """Train a run, or go on with it, and print how good the model is."""
    import pandas as pd

    from ser.training import pipeline

    with pipeline.working_on(run) as config:
        warm_up_tensorflow(members=config.model.members)
        result = pipeline.train(run, n_jobs=n_jobs, cluster=cluster)
    print_figures(result)
    print_robustness(result)
    print_skipped(pd.read_csv(run.folder / "skipped.csv", dtype=str))
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


def evaluate(options: argparse.Namespace) -> None:
    """Test a model on a corpus."""
    from ser.data.inspection import inspect_corpus
    from ser.evaluation import rendering
    from ser.evaluation.evaluate import evaluate_corpus
    from ser.evaluation.latex import to_latex
    from ser.training.runs import Run
    from ser.utils.extras import DRAWS, need
    from ser.utils.files import atomic_path, write_text

    if options.protocol == "few-shot":
        return adaptation.study(options)
    if (options.shots, options.repeats) != (None, None):
        raise DataError("--shots and --repeats are of --protocol few-shot. Leave them out.")
    if options.html:
        need("train", *DRAWS)
    if options.out:
        report, finish = many.evaluate(options)
    else:
        many.without_store(options)
        recognizer = _load(options.model, options.emotions)
        corpus = inspect_corpus(options.data, n_jobs=options.n_jobs)
        report = evaluate_corpus(
            recognizer,
            options.data,
            corpus=corpus,
            protocol=options.protocol,
            seed=options.seed,
            robustness=options.robustness,
            listen=options.listen,
            n_jobs=options.n_jobs,
        )
        finish = partial(print_skipped, corpus.skipped)
    # Files first: a reader of the output that leaves early (head) must not cost them.
    if options.json:
        report.save(options.json)
    if options.csv:
        with atomic_path(options.csv) as temporary:
            report.predictions.to_csv(temporary, index=False, float_format="%.5f")
    if options.html:
        write_text(options.html, rendering.to_html(report, Run(options.model).read_epochs()))
    if options.latex:
        write_text(options.latex, to_latex(report))
    print_figures(report)
    print_robustness(report)
    finish()


def compare(options: argparse.Namespace) -> None:
    """Compare two reports."""
    from ser.evaluation.comparison import compare as compare_reports
    from ser.evaluation.few_shot_report import FewShotReport
    from ser.evaluation.report import Report

    files = [
        path / "report.json" if path.is_dir() else path for path in (options.first, options.second)
    ]
    for file in files:
        if FewShotReport.find(file) is not None:
            raise DataError(
                f"{file} says what learning voices gains, speaker by speaker, and cannot be "
                "compared clip by clip. Give reports of ser train, evaluate or crossval."
            )
    first, second = map(Report.load, files)
    found = compare_reports(first, second)
    print(f"First:  {first.title} ({first.protocol_in_words})")
    print(f"Second: {second.title} ({second.protocol_in_words})\n")
    print(f"{found}.")
    if found.repeated:
        print("One tested the same clips several times, so they are not compared clip by clip.")
    elif not found.paired:
        print("They tested different clips, so corpora and speakers differ as well as models.")
    if len(found.recalls):
        print("\n  recall      first  second")
        for row in found.recalls.itertuples():
            print(f"  {row.emotion:10} {row.first:6.1%}  {row.second:6.1%}")


def crossval(options: argparse.Namespace) -> None:
    """Train and test once per fold or seed."""
    from ser.data.splits import FOLDS
    from ser.training import cross_validation

    config = replace(_config(options, protocol=next(iter(FOLDS))), fold=0)
    warm_up_tensorflow(members=config.model.members)
    report = cross_validation.cross_validate(
        options.out,
        config,
        seeds=options.seeds or 0,
        resume=options.resume,
        listen=options.listen,
        n_jobs=options.n_jobs,
        cluster=options.cluster,
    )
    for fold in report.folds:
        print(f"{report.part} {fold.label}: accuracy {fold.accuracy:.1%}, UAR {fold.uar:.1%}")
    print_figures(report)
    if options.json:
        report.save(options.json)
    print(f"\nThe report and one run per {report.part} are in {options.out}")


def export(options: argparse.Namespace) -> None:
    """Write a model for other programs."""
    from ser.models.export import export as write

    if options.form == "litert":
        warm_up_tensorflow()
    file = write(options.model, options.out, form=options.form)
    if options.form == "web":
        size = sum(each.stat().st_size for each in options.out.iterdir())
        print(
            f"{file}, {size / 1e6:.1f} MB in all. To open it: python -m http.server --directory "
            f"{options.out}, then http://localhost:8000."
        )
        return
    print(
        f"{file}, {file.stat().st_size / 1e6:.1f} MB; {options.out / 'model.json'} says what goes "
        f"in and comes out, {options.out / 'example.py'} asks it."
    )


def serve(options: argparse.Namespace) -> None:
    """Serve the HTTP API."""
    from ser import assets
    from ser.service import server

    server.serve(
        options.models or [assets.DEFAULT_MODEL, assets.RAVDESS_MODEL],
        address=options.address,
        port=options.port,
        keys=options.keys,
        public=options.public,
        megabytes=options.most_mb,
        seconds=options.longest,
    )


def key(options: argparse.Namespace) -> None:
    """Make an API key."""
    from ser.service import keys

    print(keys.add(options.file, options.name))
    print(
        f"This is the key of {options.name}; it is shown once. Its hash is in {options.file}.",
        file=sys.stderr,
    )


def predict(options: argparse.Namespace) -> None:
    """Name the emotion in files and folders."""
    import pandas as pd

    from ser.audio import EXTENSIONS, AudioError
    from ser.models.recognizer import REFUSED
    from ser.utils.places import is_url

    if options.out:
        return many.predict(options)
    many.without_store(options)
    files: list[Path] = []
    for path in options.paths:
        if is_url(path):
            raise DataError(f"{path}: recordings in an object store are answered by shards: --out.")
        if path.is_dir():
            every = (p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS)
            inside = sorted(p for p in every if not p.name.startswith(".") and not p.is_dir())
            if not inside:
                raise DataError(f"{path} holds no audio file.")
            files += inside
        else:
            files.append(path)
    if options.format in ("srt", "vtt", "textgrid") and not (options.timeline and len(files) == 1):
        raise DataError(
            f"--format {options.format} is for the timeline of one recording: ser predict "
            f"{files[0]} --timeline --format {options.format}"
        )
    recognizer = _load(options.model, options.emotions)
    refused: list[str] = []
    if options.timeline:
        tables = []
        for file in files:
            try:
                tables.append(recognizer.timeline(file, same_voice=options.same_voice))
            except AudioError as error:
                refused.append(f"{file}: {error}")
        table = pd.concat(tables, ignore_index=True) if tables else None
    else:
        table = recognizer.predict_files(
            files, same_voice=options.same_voice, n_jobs=options.n_jobs
        )
        bad = table["verdict"] == REFUSED
        refused = [f"{row.file}: {row.reason}" for row in table[bad].itertuples()]
        table = table[~bad]
    if table is not None and len(table):
        print(formatted(table, recognizer.labels, options.format))
    if refused:
        # Whatever could be used was answered above; the rest still is an error.
        for line in refused[:-1]:
            print(f"ser: {line}", file=sys.stderr)
        raise DataError(refused[-1])


def _load(folder: Path, emotions: list[str] | None = None) -> Any:
    from ser.models.recognizer import Recognizer

    recognizer = Recognizer.load(folder)
    return recognizer.among(emotions) if emotions else recognizer
