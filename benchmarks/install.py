"""How much room the package takes on disk, with each of its extras: python benchmarks/install.py.

A wheel is built, and installed into a new environment for each, as constraints.txt pins it. What
counts is what the installation added there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT))

from ser.utils.files import write_json  # noqa: E402

EXTRAS = ("", "serve", "train", "app")
LARGEST = 8  # parts that are named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="*", default=EXTRAS, help="which; by default all")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        wheel = build(Path(place))
        for extra in options.extras:
            found[extra or "core"] = measure(wheel, extra, Path(place) / (extra or "core"))
            print(extra or "core", found[extra or "core"], flush=True)
    if options.json:
        write_json(options.json, found)


def build(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w"]
    subprocess.run([*command, str(folder), str(PROJECT)], check=True)
    return next(folder.glob("*.whl"))


def measure(wheel: Path, extra: str, folder: Path) -> dict[str, Any]:
    """Return the megabytes (of a million bytes) of an installation, and of its largest parts."""
    venv.create(folder, with_pip=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    before = {path.name for path in site.iterdir()}
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    constraints = PROJECT / "constraints.txt"
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*command, "-c", str(constraints), wanted], check=True)
    sizes: dict[str, int] = {}
    for path in site.iterdir():
        if path.name not in before:
            # Libraries beside a package belong to it.
            name = path.name.removesuffix(".libs")
            sizes[name] = sizes.get(name, 0) + size(path)
    largest = sorted(sizes, key=lambda name: -sizes[name])[:LARGEST]
    return {
        "megabytes": round(sum(sizes.values()) / 1e6),
        "largest": {name: round(sizes[name] / 1e6) for name in largest},
    }


def size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    main()
