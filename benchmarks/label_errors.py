"""How many labels that were swapped on purpose are among the first that are called doubtful.

    python -m benchmarks.label_errors data/ravdess [--share 0.05] [--json FILE]

A seeded draw gives some clips another emotion of the corpus; `find_label_errors` does not know
which. Reported is the share of them among the first tenth of its list, for three seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from ser.data.inspection import inspect_corpus
from ser.training.label_errors import find_label_errors
from ser.utils.files import write_json

SEEDS = (1, 2, 3)
FIRST = 0.1  # part of the list


def swapped(clips: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, set[str]]:
    """Return clips, some with another emotion, and the paths of these."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(clips), round(share * len(clips)), replace=False)
    emotions = clips["emotion"].astype(str).to_numpy(dtype=object)
    labels = np.unique(emotions.astype(str))
    for row in rows:
        emotions[row] = rng.choice(labels[labels != emotions[row]])
    return clips.assign(emotion=emotions.astype(str)), set(clips["path"].iloc[rows])


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="a corpus")
    parser.add_argument("--share", type=float, default=0.05, help="of labels to swap")
    parser.add_argument("--json", help="where to keep the figures")
    options = parser.parse_args()
    clips = inspect_corpus(options.data).clips
    rows = []
    for seed in SEEDS:
        changed, wrong = swapped(clips, options.share, seed)
        found = find_label_errors(changed)
        first = set(found["path"].head(round(FIRST * len(found))))
        corrected = found.set_index("path").loc[sorted(wrong), "suggested"]
        true = clips.set_index("path").loc[sorted(wrong), "emotion"].astype(str)
        rows.append(
            {
                "seed": seed,
                "swapped": len(wrong),
                "among_first_tenth": len(wrong & first) / len(wrong),
                "label_restored": float((corrected == true).mean()),
            }
        )
        print(rows[-1])
    if options.json:
        write_json(
            Path(options.json),
            {"corpus": Path(options.data).name, "clips": len(clips), "runs": rows},
        )


if __name__ == "__main__":
    main()
