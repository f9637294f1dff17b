"""What people get who install the package: built, installed and used far from the checkout."""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from playwright.sync_api import expect, sync_playwright

from ser.app import processes
from ser.training.runs import Run
from tests.app.browser.app import PATIENCE, find_browser, launch, serve
from tests.tiny import SAMPLES, tiny_config, tiny_corpus

PROJECT = SAMPLES.parent.parent
PINS = {
    name: [
        Requirement(line)
        for line in (PROJECT / name).read_text().splitlines()
        if line and not line.startswith(("#", "-"))
    ]
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt")
}
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the source archive."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, PROJECT],
        check=True, capture_output=True,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


class Installation:
    """The installed package, and somebody who uses it in an empty folder."""

    def __init__(self, wheel: Path, folder: Path):
        self.site, self.home, self.cwd = (folder / name for name in ("site", "home", "cwd"))
        self.home.mkdir()
        self.cwd.mkdir()
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
             "--target", self.site, wheel],
            check=True,
        )  # fmt: skip
        self.script = next(self.site.glob("bin/ser*"))
        self.data = self.home / "share" / "ser"
        own = {"HOME": str(self.home), "XDG_DATA_HOME": str(self.home / "share")}
        self.env = os.environ | own | {"PYTHONPATH": str(self.site)}
        del self.env["SER_HOME"]

    def run(self, *command):
        """Run a command there; returns how it ended and what it printed."""
        return subprocess.run(
            list(map(str, command)), cwd=self.cwd, env=self.env, capture_output=True, text=True
        )

    def ser(self, *arguments):
        """Run ``ser``; returns what it printed."""
        done = self.run(self.script, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code, *arguments):
        """Run a program; returns what it printed, from JSON."""
        done = self.run(sys.executable, "-c", code, *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return Installation(wheel, tmp_path_factory.mktemp("installed"))


@pytest.mark.parametrize("folder", ["models", "data/samples", "reports", "pages"])
def test_the_wheel_holds_what_ships(names, folder):
    inside = {
        str(file.relative_to(PROJECT))
        for file in (PROJECT / folder).rglob("*")
        if file.is_file() and file.name != ".lock" and "__pycache__" not in file.parts
    }
    assert inside
    start = f"ser/_assets/{folder}/"
    shipped = {name.removeprefix("ser/_assets/") for name in names if name.startswith(start)}
    assert shipped == inside


def test_the_wheel_holds_the_whole_package_and_the_app(names):
    assert {"ser/_assets/Home.py", "ser/_assets/.streamlit/config.toml"} < names
    assert "ser/_assets/docs/icon.png" in names
    package = {
        str(file.relative_to(PROJECT))
        for file in (PROJECT / "ser").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert "ser/evaluation/templates/report.html" in package  # not only Python
    assert package <= names


def test_the_wheel_holds_nothing_else(names, wheel):
    """No recordings but the synthetic ones, no tests, nothing that somebody trained."""
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"ser"}
    assets = {name.split("/")[2] for name in names if name.startswith("ser/_assets/")}
    expected = {"models", "data", "reports", "docs", "pages", "Home.py", ".streamlit"}
    assert assets == expected
    audio = [name for name in names if name.endswith((".flac", ".wav", ".mp3", ".ogg", ".m4a"))]
    assert len(audio) == 120
    assert all(name.startswith("ser/_assets/data/samples/") for name in audio)
    # Both models twice: as Keras has them, and as ONNX with the encoder (26 MB) for predicting.
    assert wheel.stat().st_size < 80e6


def test_it_is_the_installed_package_that_runs(installed):
    code = "import json, ser; print(json.dumps(ser.__file__))"
    assert installed.python(code) == str(installed.site / "ser" / "__init__.py")


def test_the_shipped_model_answers_anywhere(installed):
    output = installed.ser("info")
    assert re.search(r"models/ravdess: accuracy \d\d\.\d%", output)
    assert "data/samples: 120 clips" in output
    clip = next(installed.site.rglob("03-01-06-02-02-01-27.flac"))
    rows = json.loads(installed.ser("predict", clip, "--format", "json"))
    assert rows[0]["emotion"] == "fearful"
    assert not installed.data.exists()  # asking leaves nothing behind
    assert list(installed.cwd.iterdir()) == []


def test_a_training_of_the_app_lies_in_the_users_data_folder(installed, tmp_path):
    """The app starts it as a process of its own, which must find the package too."""
    code = (
        "import json, sys\n"
        "from ser.app import processes\n"
        "from ser.training.pipeline import TrainingConfig\n"
        "config = TrainingConfig.from_json(json.loads(sys.argv[1]))\n"
        "print(json.dumps(str(processes.start('mine', config).folder)))\n"
    )
    config = tiny_config(tiny_corpus(tmp_path / "clips"), epochs=10_000)
    run = Run(installed.python(code, json.dumps(config.to_json())))
    assert run.folder == installed.data / "mine"
    wait_for(lambda: run.read_epochs(), run)
    run.ask_to_stop()
    wait_for(lambda: not run.is_held(), run)
    assert run.read_status().state == "stopped"
    assert not list(installed.site.rglob("_assets/**/log.txt"))


def wait_for(condition, run):
    deadline = time.monotonic() + 300
    while not condition():
        state = run.read_status().state
        assert state != "failed" and time.monotonic() < deadline, processes.read_log(run)
        time.sleep(0.1)


def test_corpora_lie_in_the_users_data_folder(installed):
    code = (
        "import json\n"
        "from ser.app import workspace\n"
        "(workspace.data() / 'ravdess').mkdir(parents=True, exist_ok=True)\n"
        "print(json.dumps([str(workspace.data()), *map(str, workspace.corpora())]))\n"
    )
    data, *corpora = installed.python(code)
    assert data == str(installed.data / "data")
    assert str(installed.data / "data" / "ravdess") in corpora


def test_the_app_opens_anywhere_in_its_own_colours(installed, tmp_path):
    if find_browser() is None:
        assert not os.environ.get("CI"), "CI must install a browser"
        pytest.skip("no Chromium, Chrome or Edge is installed here")
    command = (str(installed.script), "app", "--no-browser", "--address", "127.0.0.1")
    server = serve(tmp_path / "log.txt", command, "--port", cwd=installed.cwd, env=installed.env)
    with server as address, sync_playwright() as playwright:
        page = launch(playwright).new_page(color_scheme="light", base_url=address)
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.goto("/")
        page.get_by_role("tab", name="Guess first").click()
        page.get_by_role("radio", name="fearful").click()
        expect(page.get_by_text("It was meant as fearful.")).to_be_visible()
        blue = "rgb(37, 99, 196)"  # as .streamlit/config.toml says
        expect(page.get_by_role("button", name="Next")).to_have_css("background-color", blue)
        page.get_by_role("link", name="Dataset").first.click()
        expect(page.get_by_role("heading", name="Dataset")).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)


def test_without_streamlit_only_the_app_is_missing(installed):
    """The command line loads without it, and one line says how to get the app."""
    done = installed.run(
        sys.executable,
        "-c",
        "import sys\n"
        "sys.modules['streamlit'] = None  # what an import of it meets where it is missing\n"
        "from ser.cli import main\n"
        "assert main(['scan', sys.argv[1]]) == 0\n"
        "sys.exit(main(['app']))\n",
        SAMPLES,
    )
    assert done.returncode == 2
    assert "120 clips" in done.stdout
    assert done.stderr.splitlines()[-1].endswith('pip install "ser[app]"')
    assert "Traceback" not in done.stderr


def test_what_is_tested_is_within_what_the_package_asks_for():
    """The exact pins and the ranges name the same packages, and do not contradict each other."""
    extras = METADATA["optional-dependencies"]
    development = [text for text in extras["dev"] if not text.startswith("ser[")]
    for pins, wanted in (
        (
            "requirements.txt",
            METADATA["dependencies"] + extras["app"] + extras["large"] + extras["serve"],
        ),
        ("requirements-dev.txt", development),
    ):
        ranges = {Requirement(text).name: Requirement(text).specifier for text in wanted}
        exact = {pin.name: pin.specifier for pin in PINS[pins]}
        assert exact.keys() == ranges.keys()
        for name, specifier in exact.items():
            assert ranges[name].contains(next(iter(specifier)).version), name
            assert SpecifierSet(str(specifier)) in [
                pin.specifier for pin in PINS["constraints.txt"] if pin.name == name
            ], name
