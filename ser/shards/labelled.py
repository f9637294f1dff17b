"""What is done to the shards of a corpus: to open clips, to make features, and to test a model.

In the table of a part, clips that could be used come first; after them those that could not, and
files that are no clips, with the reason.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pandas.api.types import is_string_dtype

from ser import audio
from ser.audio.features import SPECTRAL, FeatureExtractor
from ser.data import corpora
from ser.data.label_review import review_file, reviewed
from ser.data.parsers import load_parsers
from ser.errors import DataError
from ser.evaluation.evaluate import evaluate_answers, seen_in_training, what_is_known
from ser.evaluation.report import Report
from ser.models.recognizer import REFUSED
from ser.shards.manifest import Clip
from ser.shards.prediction import Prediction, load, was_answered
from ser.shards.store import Job
from ser.shards.tables import read_parts, write_part
from ser.utils.files import atomic_path, sha256_of
from ser.utils.places import Place, is_url

if TYPE_CHECKING:
    import pyarrow as pa

_FOLDER = rf"(?s)^.*[{re.escape(os.sep)}/]"  # of a file
_BATCH = 500  # clips whose names are looked at together


@dataclass(frozen=True)
class Names:
    """What is known of clips before they are opened, see `ser.data.corpora.described`.

    Parameters
    ----------
    location : str
        The corpus, a folder or a manifest; absolute, or an address in an object store.
    parsers : tuple of str
        Python files that register parsers of file names, see `ser.data.parsers`.
    """

    location: str
    parsers: tuple[str, ...] = ()

    @classmethod
    def of(cls, location: Place, parsers: list[Path]) -> Names:
        """Return those of a corpus.

        Raises
        ------
        DataError
            If it cannot be cut into shards.
        """
        parsers_here = tuple(map(os.path.abspath, parsers))
        if is_url(location):
            return cls(str(location), parsers_here)
        if not os.path.isdir(location) and Path(location).suffix.lower() != ".parquet":
            raise DataError(
                f"{location} is neither a folder nor a manifest (.parquet), which is what can be "
                "cut into shards. Give one, see docs/scale.md."
            )
        return cls(os.path.abspath(location), parsers_here)

    def describe(self) -> dict[str, str]:
        """Return what decides about them, but for the manifest."""
        review = review_file(self.location)
        return {
            "corpus": self.location,
            "parsers": ", ".join(map(sha256_of, self.parsers)) or "none",
            "label review": sha256_of(review) if review.is_file() else "none",
        }

    def read(self, clips: Iterable[Mapping[str, str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the clips of a shard, and what is none and why, see `ser.data.corpora.Corpus`."""
        for file in self.parsers:
            _load_once(file)
        corpus = corpora.described(clips, self.location)
        return reviewed(corpus.clips, corpus.skipped, self.location)


@lru_cache
def _load_once(file: str) -> None:
    load_parsers(file)


@dataclass(frozen=True)
class Scan:
    """The work of opening clips, see `ser.shards.store.Work`."""

    names: Names

    suffixes = (".parquet",)

    def describe(self) -> dict[str, str]:
        """Return what the table depends on."""
        return {"command": "scan", **self.names.describe()}

    def __call__(self, clips: pa.Table, part: Path) -> None:
        """Open clips and write what is known and measured of them."""
        known, skipped = self.names.read(clips.to_pylist())
        measured = corpora.measure(known["path"], n_jobs=1)
        _write_known(part, known.join(measured), skipped)


@dataclass(frozen=True)
class FeatureMaking:
    """The work of making features, see `ser.shards.store.Work`.

    A part has an array for each input of a model, such as ``part-00012.features.npy``, whose rows
    are those of the table.
    """

    names: Names
    extractor: FeatureExtractor = SPECTRAL

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the table and of an array for each input."""
        return (".parquet", *(f".{name}.npy" for name in self.extractor.shapes))

    def describe(self) -> dict[str, str]:
        """Return what the arrays depend on."""
        made = {"command": "features", "extractor": self.extractor.model_dump_json()}
        return {**made, **self.names.describe()}

    def __call__(self, clips: pa.Table, part: Path) -> None:
        """Open clips and write their features and what is known of them."""
        known, skipped = self.names.read(clips.to_pylist())
        inputs, reasons = [], []
        for path in known["path"]:
            try:
                inputs.append(self.extractor(audio.load_audio(path)))
                reasons.append("")
            except audio.AudioError as error:
                reasons.append(f"{error.code}: {error}")
        _write_known(part, known.assign(reason=pd.Series(reasons, dtype="str")), skipped)
        for name, values in self.extractor.batch(inputs).items():
            with atomic_path(f"{part}.{name}.npy") as temporary:
                np.save(temporary, values)


@dataclass(frozen=True)
class Evaluation:
    """The work of testing a model, see `ser.shards.store.Work`.

    Every clip is answered, and the protocol chooses afterwards, so another one costs nothing.
    """

    names: Names
    model: Prediction

    suffixes = (".parquet",)

    def describe(self) -> dict[str, str]:
        """Return what the answers depend on."""
        return {**self.model.describe(), "command": "evaluate", **self.names.describe()}

    def checked(self, clips: Iterable[Clip]) -> Iterator[Clip]:
        """Give clips on once their names say nothing that would end the work hours later.

        Raises
        ------
        DataError
            If a clip has an emotion that the model does not know.
        """
        clips = iter(clips)
        while some := list(islice(clips, _BATCH)):
            known, _ = self.names.read(clip._asdict() for clip in some)
            load(self.model).check_labels(known["emotion"])
            yield from some

    def __call__(self, clips: pa.Table, part: Path) -> None:
        """Answer clips and write the answers with what is known."""
        import pyarrow as pa

        known, skipped = self.names.read(clips.to_pylist())
        answers = self.model.answers(known["path"].tolist())
        used = was_answered(answers)
        sounds = []
        for row, path in enumerate(known["path"]):
            try:
                sounds.append(audio.audio_hash(audio.load_audio(path)) if used[row] else "")
            except audio.AudioError as error:  # it was answered, and has vanished since
                answers.loc[row, ["verdict", "reason"]] = REFUSED, f"{error.code}: {error}"
                used[row] = False
                sounds.append("")
        about = what_is_known(known).assign(
            clip_id=known["clip_id"], audio=pd.Series(sounds, dtype="str")
        )
        table = answers.join(about)
        skipped = skipped.rename(columns={"path": "file"}).assign(verdict=REFUSED)
        table = pd.concat([table[used], table[~used], skipped], ignore_index=True)
        words = dict.fromkeys(about, "")
        kinds = self.model.kinds() | dict.fromkeys(about, pa.string())
        write_part(part, table.fillna(words), kinds)

    def report(self, job: Job, *, protocol: str, seed: int) -> Report:
        """Report what a finished job has found, see `ser.evaluation.evaluate.evaluate_answers`.

        The table of answers is held, but of the model only what is written about it.

        Raises
        ------
        DataError
            If nothing could be used, or see there.
        """
        recognizer = load(self.model)
        labels, manifest = list(recognizer.labels), recognizer.manifest
        del recognizer
        load.cache_clear()  # the network takes as much memory as the answers about 100 000 clips
        answered = (table[was_answered(table)] for table in read_parts(job))
        found = _joined(
            table.drop(columns=["reason", "distance", "clip_id", "audio"]).assign(
                seen=seen_in_training(table, manifest)
            )
            for table in answered
        )
        if found.empty:
            raise DataError(f"{self.names.location} holds no clip that can be used.")
        # By name and then by folder, as `corpora.scan` does.
        order = found["file"].argsort().to_numpy()
        names = found["file"].str.replace(_FOLDER, "", regex=True)
        order = order[names.iloc[order].argsort(kind="stable")]
        found = found.take(order).reset_index(drop=True)
        found[labels] = found[labels].astype("float64")
        return evaluate_answers(
            manifest,
            labels,
            found.drop(columns=["emotion", *labels]).rename(columns={"truth": "emotion"}),
            found[["file", "start", "end", "emotion", "verdict", *labels]],
            location=self.names.location,
            protocol=protocol,
            seed=seed,
        )


def _joined(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return parts one below the other, every text held once; but files have a name each."""
    columns: defaultdict[str, list[pd.Series]] = defaultdict(list)
    texts, words = set[str](), dict[str, int]()
    for part in parts:
        for name in map(str, part):
            values = part[name]
            if is_string_dtype(values) and name != "file":
                texts.add(name)
                codes = [words.setdefault(word, len(words)) for word in values]
                values = pd.Series(codes, dtype="int32")
            columns[name].append(values)
    # In order, as groups of texts are.
    in_order = sorted(words)
    categories = pd.CategoricalDtype(in_order)
    place = np.argsort([words[word] for word in in_order])
    table = {}
    for name in list(columns):
        values = pd.concat(columns.pop(name), ignore_index=True)
        if name in texts:
            values = pd.Series(pd.Categorical.from_codes(place[values], dtype=categories))
        table[name] = values
    return pd.DataFrame(table)


def _write_known(part: Path, known: pd.DataFrame, skipped: pd.DataFrame) -> None:
    import pyarrow as pa

    used = is_clip(known)
    table = pd.concat([known[used], known[~used], skipped], ignore_index=True)
    kinds = {str(c): pa.float64() if c in corpora.NUMBERS else pa.string() for c in known}
    words = [name for name in known if name not in corpora.NUMBERS]
    write_part(part, table.fillna(dict.fromkeys(words, "")), kinds)


def is_clip(table: pd.DataFrame) -> pd.Series:
    """Say which rows of a part of a scan or of features could be used."""
    return table["reason"] == ""


def usable(job: Job) -> Iterator[Clip]:
    """Return the clips that a finished scan could open, named by what is heard in them."""
    for table in read_parts(job):
        used = table[is_clip(table)].rename(columns={"audio": "hash"}).assign(offset=0.0)
        for row in used[list(Clip._fields)].to_numpy().tolist():
            yield Clip(*row)


@dataclass
class Summary:
    """What a finished scan has found.

    Attributes
    ----------
    clips, minutes : dict of str to number
        By emotion.
    speakers : set of str
    sounds : list of ndarray of uint64
        A number for what is heard in each clip: all that is held of it, eight bytes.
    """

    clips: Counter[str] = field(default_factory=Counter)
    minutes: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    speakers: set[str] = field(default_factory=set)
    sounds: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def of(cls, job: Job) -> Summary:
        """Read the parts of a job."""
        found = cls()
        for table in read_parts(job):
            used = table[is_clip(table)]
            found.clips.update(used["emotion"])
            for emotion, seconds in used.groupby("emotion")["seconds"].sum().items():
                found.minutes[str(emotion)] += seconds / 60
            found.speakers |= set(used["speaker"]) - {""}
            found.sounds.append(np.array([int(s[:16], 16) for s in used["audio"]], np.uint64))
        return found

    @property
    def duplicates(self) -> int:
        """How many clips sound exactly like another."""
        _, counts = np.unique(np.concatenate(self.sounds), return_counts=True)
        return int(counts[counts > 1].sum())
