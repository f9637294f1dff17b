"""Write the files that predict without TensorFlow into the shipped bundles.

    python scripts/make_runtime.py [BUNDLE …]

Without names: the shipped encoder and all shipped bundles.  The models themselves, and all else in
the bundles, stay as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ser import assets  # noqa: E402
from ser.models import bundle, encoder, runtime  # noqa: E402
from ser.models.onnx_export import to_onnx  # noqa: E402
from ser.utils.files import atomic_path, write_json  # noqa: E402


def main() -> None:
    """Write them."""
    folders = [Path(name) for name in sys.argv[1:]]
    if not folders:
        front = encoder.build_front()
        with atomic_path(assets.ENCODER_ONNX) as temporary:
            temporary.write_bytes(to_onnx(front, ["log_mel"], ["frames", "summary"]))
        folders = bundle.find_bundles(assets.MODELS)
    for folder in folders:
        model, manifest = bundle.load_bundle(folder)
        if manifest.layers:
            continue  # what it has learned is in its runtime only
        hashes = bundle.write_files(folder, runtime.convert(model))
        changed = manifest.model_copy(update={"runtime": hashes})
        write_json(folder / bundle.MANIFEST_FILE, changed.model_dump(mode="json"))
        print(folder, *hashes)


if __name__ == "__main__":
    main()
