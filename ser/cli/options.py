"""The commands and their options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

import ser
from ser.assets import DEFAULT_MODEL
from ser.cli import adaptation, commands, many
from ser.data.known_corpora import TITLES
from ser.utils.places import is_url, to_place

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

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


def make_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of all commands; ``options.run`` is what a command does.

    What it shall parse is only looked at for the names of the commands that train: their options
    are those of a configuration, and to load that takes a second that no other command needs.
    """
    parser = argparse.ArgumentParser(
        prog="ser",
        description="Speech emotion recognition: name the emotion in short clips of speech.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ser {ser.__version__}")
    group = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Any, help: str) -> argparse.ArgumentParser:
        sub = group.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(run=run)
        return sub

    sub = command("app", commands.app, "open the web app, until Ctrl-C")
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
    sub.add_argument(
        "--api", action="store_true", help="with the HTTP API under /api, in the same process"
    )
    sub.add_argument(
        "--keys", type=_local, metavar="FILE", help="who may ask it: API keys made with ser key"
    )

    sub = command(
        "export", commands.export, "write a model for phones, browsers and other programs"
    )
    sub.add_argument("model", type=_local, metavar="BUNDLE", help="a folder with a model")
    sub.add_argument(
        "--to",
        dest="form",
        choices=["onnx", "litert", "web"],
        default="onnx",
        help="onnx, for ONNX Runtime everywhere (default); litert, for Android and others; or web, "
        "a page that runs it in the browser",
    )
    sub.add_argument("--out", type=_local, required=True, metavar="DIR", help="new folder")

    sub = command("serve", commands.serve, "serve the HTTP API for other programs")
    sub.add_argument(
        "--model",
        dest="models",
        type=_local,
        action="append",
        metavar="BUNDLE",
        help="a model that can be asked, by the name of its folder; may be given again, the first "
        "answers where none is named (everyday and ravdess)",
    )
    sub.add_argument("--port", type=_port, default=8502, help="1 to 65535 (8502)")
    sub.add_argument(
        "--address",
        default="127.0.0.1",
        metavar="HOST",
        help="where to listen; 0.0.0.0 lets other computers in (127.0.0.1)",
    )
    sub.add_argument(
        "--keys", type=_local, metavar="FILE", help="who may ask: API keys made with ser key"
    )
    sub.add_argument(
        "--public", action="store_true", help="let everybody ask without a key from elsewhere"
    )
    sub.add_argument(
        "--most-mb", type=_count, default=60, metavar="N", help="largest recording, in MB (60)"
    )
    sub.add_argument(
        "--longest",
        type=_count,
        default=600,
        metavar="N",
        help="longest recording of which a timeline is made, in seconds (600)",
    )

    sub = command("key", commands.key, "make an API key for ser serve; its hash is added to a file")
    sub.add_argument("name", metavar="NAME", help="who is to have it")
    sub.add_argument("file", type=_local, metavar="FILE", help="made if it is missing")

    command("info", commands.info, "versions, models with their figures, and corpora found here")

    sub = command("cache", commands.cache, "how much is kept on disk to save time, and delete it")
    sub.add_argument("--clear", action="store_true", help="delete all of it; it is made again")

    sub = command(
        "scan", commands.scan, "list the clips of a corpus, and what was left out and why"
    )
    _corpus(sub, "corpus")
    sub.add_argument("--csv", type=_local, metavar="FILE", help="write the table of clips here")
    sub.add_argument(
        "--health", action="store_true", help="say what may be wrong before anything is learned"
    )
    sub.add_argument(
        "--doubtful",
        type=int,
        metavar="N",
        help="also name the N clips whose labels are most doubtful, which takes a while (confident "
        "learning); with --csv every clip gets the columns suggested and doubt",
    )
    sub.add_argument(
        "--estimate",
        action="store_true",
        help="instead say how long scan, features, predict and evaluate will take here with all "
        "clips, and how much memory, by trying some of them for half a minute",
    )
    _store(sub, "clips.csv, clips.parquet (a manifest) and skipped.csv")
    _jobs(sub)

    sub = command(
        "download", commands.download, "fetch RAVDESS (434 MB, CC BY-NC-SA 4.0) from Zenodo"
    )
    sub.add_argument("corpus", choices=["ravdess"], help="which corpus")
    sub.add_argument("--to", type=_local, required=True, metavar="DIR", help="folder for the clips")
    sub.add_argument(
        "--url",
        default=os.environ.get("SER_RAVDESS_URL"),
        metavar="URL",
        help="another server with the same two archives",
    )

    sub = command(
        "plot", commands.plot, "draw a clip: waveform, spectrogram, MFCCs, the model's input"
    )
    sub.add_argument("clip", type=_local, metavar="CLIP", help="an audio file")
    sub.add_argument(
        "--out",
        type=_local,
        required=True,
        metavar="FILE",
        help="a .png, or an .html to hover over",
    )

    sub = command(
        "features", commands.features, "write the model inputs of a corpus as NumPy arrays"
    )
    _corpus(sub, "corpus")
    sub.add_argument(
        "--out",
        type=to_place,
        required=True,
        metavar="FILE_OR_DIR",
        help="a .npz file; or, for more clips than memory holds, a new folder (or s3:// address)",
    )
    _shards(sub)
    _jobs(sub)

    sub = command("train", commands.train, "train a model, test it on unseen clips, write a report")
    sub.add_argument("--out", type=_local, metavar="RUN", help="new folder for everything it makes")
    sub.add_argument(
        "--resume", type=_local, metavar="RUN", help="go on with a stopped run instead"
    )
    _jobs(sub)
    _cluster(sub, "spread the members of the network")
    if "train" in arguments:
        _training_options(sub)

    sub = command("evaluate", commands.evaluate, "test a model on a corpus")
    sub.add_argument("model", type=_local, metavar="BUNDLE_OR_RUN", help="a folder with a model")
    _corpus(sub, "--data")
    sub.add_argument(
        "--protocol",
        choices=["random", "all", "few-shot"],
        default="random",
        help="random: the test clips of the random split, which the model must not have seen "
        "(default); all: every clip; few-shot: learn some recordings of each speaker, test the "
        "rest",
    )
    _emotions(sub)
    _listen(sub)
    sub.add_argument("--seed", type=_seed, default=42, help="of the split or the draws (42)")
    sub.add_argument("--shots", type=int, metavar="N", help="of few-shot (5)")
    sub.add_argument("--repeats", type=int, metavar="N", help="draws of few-shot (10)")
    sub.add_argument(
        "--robustness",
        action="store_true",
        help="also in noise, rooms and codecs, and on non-speech",
    )
    sub.add_argument("--json", type=_local, metavar="FILE", help="write the report here")
    sub.add_argument("--html", type=_local, metavar="FILE", help="and as a page here")
    sub.add_argument("--csv", type=_local, metavar="FILE", help="and every prediction here")
    sub.add_argument("--latex", type=_local, metavar="FILE", help="and its tables for a paper here")
    _store(sub, "predictions.csv and skipped.csv")
    _jobs(sub)

    sub = command(
        "compare",
        commands.compare,
        "compare two reports: how far they are apart, and whether chance explains it",
    )
    what = "a report as JSON, or the folder of a run or model that has one"
    sub.add_argument("first", type=_local, metavar="REPORT", help=what)
    sub.add_argument("second", type=_local, metavar="REPORT2", help=what)

    sub = command(
        "adapt",
        adaptation.adapt,
        "adapt a model to a voice with a few labelled recordings (few-shot)",
    )
    sub.add_argument("model", type=_local, metavar="BUNDLE", help="the model, which stays as it is")
    _corpus(sub, "--data")
    sub.add_argument("--out", type=_local, required=True, metavar="BUNDLE2", help="new folder")
    sub.add_argument("--shots", type=int, metavar="N", help="draw so many (all)")
    sub.add_argument("--seed", type=_seed, default=42, help="of the draw (42)")
    sub.add_argument("--json", type=_local, metavar="FILE", help="write before and after here")
    _jobs(sub)

    sub = command(
        "crossval",
        commands.crossval,
        "train and test once per fold, so that every clip is unseen once; or once per seed",
    )
    sub.add_argument("--out", type=_local, required=True, metavar="DIR", help="new folder")
    sub.add_argument("--resume", action="store_true", help="keep what is already finished")
    sub.add_argument(
        "--seeds",
        type=_count,
        metavar="N",
        help="N seeds, from --seed on, instead of folds; each also decides which clips are tested",
    )
    sub.add_argument("--json", type=_local, metavar="FILE", help="write the report here as well")
    _listen(sub)
    _jobs(sub)
    _cluster(sub, "spread the folds or seeds")
    if "crossval" in arguments:
        from ser.data.splits import FOLDS

        # A run of a study is not tested in noise and rooms by itself.
        _training_options(sub, without=["fold", "robustness"], protocol=next(iter(FOLDS)))

    sub = command("predict", commands.predict, "name the emotion in audio files")
    sub.add_argument(
        "paths",
        nargs="+",
        type=to_place,
        metavar="PATH",
        help="audio files or folders; with --out also manifests (.parquet) and s3:// addresses",
    )
    sub.add_argument(
        "--model", type=_local, default=DEFAULT_MODEL, metavar="BUNDLE", help="the model (everyday)"
    )
    _emotions(sub)
    sub.add_argument(
        "--format",
        choices=["table", "json", "csv", "audformat", "srt", "vtt", "textgrid"],
        default="table",
        help="table (default), json, csv or audformat (for audEERING's tools and nkululeko); with "
        "--timeline of one recording also srt or vtt (players) and textgrid (Praat and ELAN)",
    )
    sub.add_argument(
        "--timeline", action="store_true", help="every second of a recording, 3 s at a time"
    )
    sub.add_argument(
        "--same-voice",
        action="store_true",
        help="one person speaks in all files (with --timeline: throughout each of them): get used "
        "to that voice",
    )
    _store(sub, "predictions.csv and refused.csv")
    _jobs(sub)
    return parser


def _store(parser: argparse.ArgumentParser, tables: str) -> None:
    parser.add_argument(
        "--out",
        type=to_place,
        metavar="DIR",
        help="for more clips than memory holds: keep what is done in this new folder (or s3:// "
        f"address), and write {tables} into it at the end",
    )
    _shards(parser)


def _shards(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resume", action="store_true", help="go on where the same command with --out was stopped"
    )
    parser.add_argument(
        "--per-shard",
        type=_count,
        metavar="N",
        help=f"with --out: clips that are done and kept together ({many.SHARD})",
    )
    _cluster(parser, "with --out: spread the work")


def _cluster(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--cluster",
        default="",
        metavar="ADDRESS",
        help=f"{what} over the machines of a Dask scheduler, such as tcp://host:8786, or over "
        "Dask's workers on this one: local",
    )


def _listen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen",
        type=int,
        default=0,
        metavar="N",
        help="get used to each voice first, by N other clips of it drawn at random, without their "
        "labels (0)",
    )


def _corpus(parser: argparse.ArgumentParser, name: str) -> None:
    settings: dict[str, Any] = {"type": to_place, "metavar": "DIR"}
    if name.startswith("-"):
        settings["required"] = True
    parser.add_argument(
        name,
        **settings,
        help=f"folder of clips (names of {TITLES}; or a folder per emotion), a CSV, or a "
        "manifest (.parquet)",
    )
    parser.add_argument(
        "--parser",
        type=_local,
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


def _emotions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--emotions",
        type=lambda text: [part.strip() for part in text.split(",")],
        metavar="A,B,…",
        help="which can occur, such as happy,neutral; the others are left out (all)",
    )


def _local(text: str) -> Path:
    if is_url(text):
        raise argparse.ArgumentTypeError("use a path on this computer")
    return Path(text)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError("use a whole number") from None


def _workers(text: str) -> int:
    if (count := _whole(text)) < 1 and count != -1:
        raise argparse.ArgumentTypeError("use 1 or more, or -1 for one per core")
    return count


def _count(text: str) -> int:
    if (count := _whole(text)) < 1:
        raise argparse.ArgumentTypeError("use 1 or more")
    return count


def _seed(text: str) -> int:
    if not 0 <= (seed := _whole(text)) < 2**32:
        raise argparse.ArgumentTypeError("use 0 to 4294967295")
    return seed


def _port(text: str) -> int:
    if not 1 <= (port := _whole(text)) <= 65_535:
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
        help="full is that of the model ravdess (default), everyday that of everyday; "
        f"unseen-speakers is for voices that are not in the corpus; {sizes}",
    )
    group.add_argument(
        "--config", type=_local, metavar="FILE", help="a TOML file, or a run or its config.json"
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
    elif field.annotation == tuple[str, ...]:
        settings = {"action": "append", "metavar": "DIR"}
    elif get_origin(field.annotation) is tuple:
        settings |= {"type": _numbers, "metavar": "N,N,…"}
    usual = f"; default {_as_given(default)}" if default != ("",) else ""
    words = f"{field.description} ({possible(field)}{usual})".replace("%", "%%")
    group.add_argument(f"--{name.replace('_', '-')}", default=None, help=words, **settings)


def _as_given(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            "use whole numbers with commas between them, such as 96,144,192"
        ) from None
