"""What comes from outside is answered or refused, whatever it is (Hypothesis thinks it up)."""

import io
import json
import zipfile
from pathlib import PurePath

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ser import audio
from ser.audio import decoding
from ser.audio.formats import format_of, wav_coding
from ser.data.parsers import parse_name
from ser.errors import SerError
from ser.evaluation.report import Report
from ser.labels import EMOTIONS
from ser.models.manifest import read_manifest
from ser.training.config import TrainingConfig
from ser.training.runs import Run
from ser.utils.zips import unpack
from tests.tiny import SAMPLES

# The same examples each time, and none is asked to be quick.
anything = settings(
    derandomize=True,
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PROJECT = SAMPLES.parent.parent
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
two_digits = st.integers(0, 99).map("{:02}".format)
names = st.text() | st.lists(two_digits, min_size=7, max_size=7).map("-".join)


@given(names)
@example("03-01-05-02-01-01-12")
@anything
def test_any_name_is_a_clip_or_none_or_has_a_reason(name):
    try:
        fields = parse_name(PurePath("corpus") / f"{name}.wav")
    except ValueError as error:
        assert str(error)
    else:
        assert fields is None or fields["emotion"] in EMOTIONS


@given(st.binary(max_size=300))
@anything
def test_any_bytes_are_no_sound_or_refused_in_words(data):
    format_of(data)
    wav_coding(b"RIFF\0\0\0\0WAVE" + data)
    for whole in (data, b"RIFF\0\0\0\0WAVEfmt " + data, b"fLaC" + data, b"OggS" + data):
        with pytest.raises(audio.AudioError):
            decoding.load_audio(whole)


def with_one_changed(document, keys, value):
    """Return a copy in which what some keys lead to is something else."""
    changed = json.loads(json.dumps(document))
    inside = changed
    for key in keys[:-1]:
        inside = inside[key]
    inside[keys[-1]] = value
    return changed


def places(document, before=()):
    """Return the ways to everything in a document."""
    for key, value in document.items():
        yield (*before, key)
        if isinstance(value, dict) and len(before) < 3:
            yield from places(value, (*before, key))


MANIFEST = json.loads((PROJECT / "models" / "ravdess" / "manifest.json").read_text())


@given(st.sampled_from(sorted(places(MANIFEST))), values)
@anything
def test_any_manifest_is_read_or_refused(tmp_path, place, value):
    (tmp_path / "manifest.json").write_text(json.dumps(with_one_changed(MANIFEST, place, value)))
    try:
        manifest = read_manifest(tmp_path)
    except SerError as error:
        assert "manifest" in str(error)
    else:
        assert manifest.labels and 0 <= manifest.min_confidence <= 1


REPORT = json.loads((PROJECT / "reports" / "samples.json").read_text())


@given(st.sampled_from(sorted(places(REPORT))), values)
@settings(anything, max_examples=60)
def test_any_report_is_read_or_refused(tmp_path, place, value):
    (tmp_path / "report.json").write_text(json.dumps(with_one_changed(REPORT, place, value)))
    try:
        report = Report.load(tmp_path / "report.json")
    except SerError:
        return
    assert 0 <= report.accuracy <= 1


CONFIG = TrainingConfig(data=("corpus",)).to_json()


@given(st.sampled_from(sorted(places(CONFIG))), values)
@anything
def test_any_configuration_is_read_or_refused(place, value):
    try:
        config = TrainingConfig.from_json(with_one_changed(CONFIG, place, value))
    except SerError:
        return
    assert TrainingConfig.from_json(config.to_json()) == config


@given(values | st.dictionaries(st.sampled_from(["state", "message", "done", "since"]), values))
@anything
def test_any_status_of_a_run_is_one_that_can_be_shown(tmp_path, value):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "status.json").write_text(json.dumps(value))
    status = Run(tmp_path).read_status()
    assert status.state and isinstance(status.message, str)


def archive_of_samples():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for clip in sorted(SAMPLES.rglob("03-01-05-*.flac"))[:2]:
            archive.write(clip, f"angry/{clip.name}")
    return file.getvalue()


ARCHIVE = archive_of_samples()


@given(st.integers(0, len(ARCHIVE) - 1), st.binary(min_size=1, max_size=8), st.booleans())
@anything
def test_any_archive_is_unpacked_or_refused_and_leaves_nothing(tmp_path, where, piece, cut):
    data = ARCHIVE[:where] + piece + (b"" if cut else ARCHIVE[where + len(piece) :])
    number = len(list(tmp_path.iterdir()))
    target = tmp_path / f"{number}-corpus"
    try:
        unpack(io.BytesIO(data), target, audio.EXTENSIONS)
    except SerError:
        assert not target.exists()
    else:
        assert target.is_dir()
        (tmp_path / f"{number}-was-there").touch()
