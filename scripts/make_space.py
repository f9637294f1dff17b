"""Give a bundle without a space the one that its training would have made today.

Run it as ``python scripts/make_space.py models/ravdess --data data/ravdess``.  The model itself
stays as it is; the clips are those that its ``split.json`` names.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import keras

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser import bundle, corpora, dataset, evaluation
from ser.contract import CONTRACT
from ser.files import read_json, sha256_of, write_json
from ser.recognizer import calibrated
from ser.space import SPACE_FILE, write_space
from ser.training import place


def main() -> None:
    """Write ``space.npz`` and what the manifest says of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    manifest = read_json(options.bundle / bundle.MANIFEST_FILE)
    file = options.bundle / bundle.MODEL_FILE
    if sha256_of(file) != manifest["model"]["sha256"]:
        raise SystemExit(f"{file} is not the model of its manifest.")
    model = keras.models.load_model(file, compile=False, safe_mode=True)
    config, split = manifest["training"]["config"], read_json(options.bundle / "split.json")
    clips = corpora.scan(options.data).clips.set_index("name")
    training, validation = clips.loc[split["train"]], clips.loc[split["validation"]]
    heard = dataset.compute_features(
        training["path"].tolist(), copies=config["copies"], seed=config["seed"]
    )
    held_out = dataset.compute_features(validation["path"].tolist()).clean
    codes = {label: i for i, label in enumerate(CONTRACT.labels)}
    space, logits, distances = place(
        model,
        heard,
        training["emotion"].map(codes).to_numpy(),
        training["speaker"].to_numpy(str),
        held_out,
    )
    write_space(options.bundle / SPACE_FILE, space)
    probabilities = calibrated(logits, distances, manifest["temperature"])
    manifest |= {
        "format": bundle.FORMAT,
        "min_confidence": evaluation.fit_min_confidence(probabilities),
        "space": {"file": SPACE_FILE, "sha256": sha256_of(options.bundle / SPACE_FILE)},
    }
    write_json(options.bundle / bundle.MANIFEST_FILE, manifest)


if __name__ == "__main__":
    main()
