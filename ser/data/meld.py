"""The clips of MELD, whose emotions are in tables and not in their names."""

from __future__ import annotations

import csv
import os
import re
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ser.labels import emotion_of

if TYPE_CHECKING:
    from ser.data.parsers import ClipFields

_NAME = re.compile(r"(?:final_videos_test)?dia([0-9]{1,4})_utt([0-9]{1,3})")


def parse_meld(path: PurePath) -> ClipFields | None:
    """Look up a MELD clip, such as ``train_splits/dia0_utt0``, in the corpus's own table.

    Poria et al. 2019, *MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in
    Conversations*, https://doi.org/10.18653/v1/P19-1050: the name is dialogue and utterance, which
    start anew in each of train, dev and test, so it identifies no recording.  Emotion and speaker
    are in ``train_sent_emo.csv``, ``dev_sent_emo.csv`` and ``test_sent_emo.csv``.  Some clips of
    the test set were cut anew, as ``final_videos_testdia0_utt0``.

    Raises
    ------
    ValueError
        If there is no table for a name of this form, the table does not list it, or a newer cut
        lies beside it.

    Examples
    --------
    >>> parse_meld(PurePath("train_splits/dia0_utt0.wav"))
    Traceback (most recent call last):
    ...
    ValueError: MELD names say no emotion: put train_sent_emo.csv into the folder above this one

    With that table in the folder above, the emotion of the clip is found there.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None or emotion_of(path.parent.name):
        return None
    # os.path, since pathlib raises where a name is too long.
    if os.path.exists(path.with_name(f"final_videos_test{path.name}")):
        raise ValueError("MELD cut this clip anew, see the final_videos_test file beside it")
    part = re.search(r"(?<![a-z])(train|dev|test)(?![a-z])", path.parent.name.lower())
    if part is None:
        raise ValueError("MELD clips need a folder whose name says train, dev or test")
    name = f"{part[0]}_sent_emo.csv"
    tables = [Path(folder / name) for folder in path.parents[:3]]
    table = next((file for file in tables if os.path.isfile(file)), None)
    if table is None:
        raise ValueError(f"MELD names say no emotion: put {name} into the folder above this one")
    labels = _meld_labels(table, table.stat().st_mtime_ns)
    if (match[1], match[2]) not in labels:
        raise ValueError(f"MELD's {name} does not list this clip")
    emotion, speaker = labels[match[1], match[2]]
    return {
        "emotion": emotion,
        "speaker": f"meld {speaker}",
        "channel": "speech",
        "clip_id": f"meld:{part[0]}-{match[1]}-{match[2]}",
    }


@lru_cache(maxsize=6)
def _meld_labels(file: Path, changed: int) -> dict[tuple[str, str], tuple[str, str]]:
    """Return emotion and speaker by dialogue and utterance; `changed` outdates what was read."""
    try:
        with file.open(encoding="utf-8", errors="replace", newline="") as lines:
            return {
                (row["Dialogue_ID"], row["Utterance_ID"]): (row["Emotion"], row["Speaker"])
                for row in csv.DictReader(lines)
            }
    except (OSError, KeyError, csv.Error) as error:
        raise ValueError(f"{file.name} cannot be read as a table of MELD: {error}") from error
