import json
import shutil
import time
from contextlib import suppress
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pytest

from ser.app import workspace
from ser.app.widgets import corpus_map, tasks
from ser.data import download, projections
from ser.data.inspection import PENDING, inspection_file, update_inspection
from tests.app.pages.conftest import PROJECT
from tests.data.test_download import SPEECH, TWO, server  # noqa: F401
from tests.tiny import SAMPLES, tiny_corpus

FIRST = "03-01-01-01-01-01-25.flac"


@pytest.fixture(autouse=True)
def _no_jobs():
    """Every test begins as a server does."""
    yield
    for job in tasks.all_tasks().values():
        job.stop()
        job.join()
    tasks.all_tasks().clear()


def settled(page):
    """Run a page until nothing works in the background any more."""
    while running := [job for job in tasks.all_tasks().values() if job.running]:
        for job in running:
            job.join()
        page.run()
    assert not page.exception
    return page.run()


@pytest.fixture
def open_corpus(page):
    """Open the page with a corpus and wait for it, as the field for a folder does."""

    def open_corpus(location, view="Overview"):
        dataset = settled(page("pages/1_Dataset.py"))
        if location != SAMPLES:
            find(dataset.text_input, "Folder or CSV file").set_value(str(location))
            find(dataset.button, "Open").click().run()
            settled(dataset)
        if view != "Overview":
            dataset.segmented_control(key="view").set_value(view).run()
            settled(dataset)
        return dataset

    return open_corpus


def find(widgets, label):
    (found,) = [widget for widget in widgets if widget.label == label]
    return found


def metrics(page):
    return {metric.label: metric.value for metric in page.metric}


def charts(page):
    return page.get("vega_lite_chart")


def sounds(page):
    """What is drawn in each view of a sound."""
    return [json.loads(each.proto.json) for each in page.get("bidi_component")]


def test_the_samples_are_shown_at_a_glance(open_corpus):
    dataset = open_corpus(SAMPLES)
    shown = metrics(dataset)
    assert (shown["Clips"], shown["Speakers"], shown["Emotions"]) == ("120", "4", "8")
    assert float(shown["Minutes"]) == pytest.approx(5.3, abs=0.1)
    assert len(charts(dataset)) == 4
    assert not dataset.error
    assert any("No two clips" in text.value for text in dataset.markdown)
    assert "Left out: 1 file" in [expander.label for expander in dataset.expander]


def test_clips_are_counted_by_gender_as_well(open_corpus):
    dataset = open_corpus(SAMPLES)
    group = find(dataset.segmented_control, "Split by")
    assert group.options == ["none", "Gender", "Intensity"]  # the samples are speech only
    group.set_value("Gender").run()
    assert not dataset.exception
    (numbers,) = [
        frame.value
        for frame in dataset.dataframe
        if "female" in getattr(frame.value, "columns", [])
    ]
    assert numbers["female"].sum() == numbers["male"].sum() == 60


def test_a_scan_shows_how_far_it_is_and_can_be_stopped_and_resumed(page, tmp_path):
    folder = tiny_corpus(tmp_path / "corpus")
    dataset = settled(page("pages/1_Dataset.py"))
    begin, go = Event(), Event()

    def work(job):
        begin.set()
        assert go.wait(60)
        job.report("Opening clips", 7, 40)

    tasks.start(("scan", str(folder)), work, "Looking for clips")
    assert begin.wait(60)
    find(dataset.text_input, "Folder or CSV file").set_value(str(folder))
    find(dataset.button, "Open").click().run()
    assert not metrics(dataset)
    find(dataset.button, "Stop").click().run()
    assert find(dataset.button, "Stopping …").disabled
    go.set()
    settled(dataset)
    assert "7 of 40" in dataset.info[0].value
    find(dataset.button, "Resume").click().run()
    settled(dataset)
    assert metrics(dataset)["Clips"] == "40"


def test_a_corpus_is_remembered_and_one_look_serves_all_visits(open_corpus, page, tmp_path):
    folder = tiny_corpus(tmp_path / "corpus", ("05",))
    open_corpus(folder)
    assert workspace.recent_corpora()[0] == folder
    tasks.all_tasks().clear()
    other = page("pages/1_Dataset.py")
    find(other.selectbox, "Corpus").set_value(str(folder)).run()
    assert metrics(other)["Clips"] == "16"  # while the folder is looked at again
    settled(other)


def test_changes_are_found_when_asked_for(open_corpus, tmp_path):
    folder = tiny_corpus(tmp_path / "corpus", ("05",))
    dataset = open_corpus(folder)
    shutil.copy(next(folder.iterdir()), folder / "03-01-04-01-01-01-25.flac")
    find(dataset.button, "Rescan").click().run()
    settled(dataset)
    assert metrics(dataset)["Clips"] == "17"
    assert "Same audio: 2 clips" in [expander.label for expander in dataset.expander]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("missing", "does not exist. Check the name"),
        ("empty", "holds no clip with a known emotion"),
        ("junk", "Left out: 1 × no audio file"),
    ],
)
def test_a_folder_without_clips_gets_a_sentence(open_corpus, tmp_path, state, words):
    folder = tmp_path / "corpus"
    if state != "missing":
        folder.mkdir()
    if state == "junk":
        (folder / "notes.txt").write_text("no clip")
    dataset = open_corpus(folder)
    assert words in dataset.error[0].value
    assert not metrics(dataset)
    assert folder not in workspace.recent_corpora()
    if state == "empty":
        shutil.copy(sorted(SAMPLES.rglob("*.flac"))[0], folder)
        find(dataset.button, "Look again").click().run()
        settled(dataset)
        assert metrics(dataset)["Clips"] == "1"


def test_clips_that_cannot_be_opened_are_told(open_corpus, tmp_path):
    (tmp_path / "03-01-05-01-01-01-25.wav").write_text("no audio")
    dataset = open_corpus(tmp_path)
    assert "No clip of this corpus can be used" in dataset.info[0].value
    assert any("audio-unsupported" in str(frame.value) for frame in dataset.dataframe)


def test_clips_are_filtered(open_corpus):
    dataset = open_corpus(SAMPLES, "Clips")
    find(dataset.multiselect, "Emotion").set_value(["angry", "sad"])
    find(dataset.multiselect, "Gender").set_value(["male"]).run()
    table = dataset.dataframe[0].value
    assert len(table) == 16
    assert set(table["emotion"]) == {"angry", "sad"} and set(table["gender"]) == {"male"}
    find(dataset.text_input, "Search").set_value("-25.FLAC").run()
    assert set(dataset.dataframe[0].value["speaker"]) == {"actor 25"}
    find(dataset.text_input, "Search").set_value("no such name").run()
    assert "No clip matches" in dataset.info[0].value
    assert not dataset.exception


def test_a_clip_is_opened_and_seen_in_every_way(open_corpus):
    dataset = open_corpus(SAMPLES, "Clips")
    assert len(charts(dataset)) == 0
    clip = find(dataset.selectbox, "Clip")
    clip.set_value(str(next(SAMPLES.rglob(FIRST)))).run()
    assert any(FIRST in text.value for text in dataset.markdown)
    (sound,) = sounds(dataset)
    assert sound["frames"] == len(sound["pitch"]) == len(sound["intensity"])
    assert 80 < np.median([hz for hz in sound["pitch"] if hz]) < 160, "a man's voice"
    for view, count in {"Sound": 0, "Features": 4, "Model input": 2}.items():
        dataset.segmented_control(key="clip view").set_value(view).run()
        assert not dataset.exception and not dataset.error
        assert len(charts(dataset)) == count, view


def test_two_clips_are_compared_in_one_click(open_corpus):
    dataset = open_corpus(SAMPLES, "Clips")
    find(dataset.selectbox, "Clip").set_value(str(next(SAMPLES.rglob(FIRST)))).run()
    pills = find(dataset.pills, "Compare with the same speaker and statement, meant as")
    pills.set_value("angry").run()
    assert not dataset.exception
    names = [text.value for text in dataset.markdown if ".flac" in text.value]
    assert "neutral" in names[0] and "angry" in names[1]
    assert all("actor 25 · male" in name and "Kids" in name for name in names)
    first, second = sounds(dataset)
    assert first["samples"] != second["samples"]
    assert first["peak"] == second["peak"], "loudness can be compared"


def test_a_clip_that_is_gone_gets_a_sentence(open_corpus, tmp_path):
    folder = tiny_corpus(tmp_path / "corpus", ("05",))
    dataset = open_corpus(folder, "Clips")
    clip = sorted(folder.iterdir())[0]
    clip.unlink()
    find(dataset.selectbox, "Clip").set_value(str(clip)).run()
    assert not dataset.exception
    assert "no longer exists" in dataset.error[0].value


def test_few_clips_have_a_mean_but_no_map(open_corpus, tmp_path):
    for clip in sorted(SAMPLES.rglob("*.flac"))[:4]:
        shutil.copy(clip, tmp_path)
    dataset = open_corpus(tmp_path, "Averages")
    assert charts(dataset) and not dataset.error
    dataset.segmented_control(key="view").set_value("Map").run()
    settled(dataset)
    assert not dataset.exception
    assert "A map needs at least 5 clips" in dataset.error[0].value


def test_every_emotion_has_its_mean_and_every_clip_its_place(open_corpus):
    dataset = open_corpus(SAMPLES, "Averages")
    assert len(charts(dataset)) == 8
    dataset.segmented_control(key="view").set_value("Map").run()
    settled(dataset)
    assert len(charts(dataset)) == 1
    find(dataset.segmented_control, "Layout").set_value("t-SNE").run()
    settled(dataset)
    assert len(charts(dataset)) == 1
    assert not dataset.error


def test_a_map_of_too_few_clips_gets_a_sentence(open_corpus, tmp_path):
    for clip in sorted(SAMPLES.rglob("*.flac"))[:3]:
        shutil.copy(clip, tmp_path)
    dataset = open_corpus(tmp_path, "Map")
    assert "at least 5 clips" in dataset.error[0].value


def test_ravdess_is_offered_with_its_licence_first(page):
    dataset = settled(page("pages/1_Dataset.py"))
    assert any("CC BY-NC-SA 4.0" in caption.value for caption in dataset.caption)
    assert find(dataset.text_input, "Destination folder").value == str(PROJECT / "data" / "ravdess")
    assert find(dataset.button, "Download RAVDESS").disabled
    find(dataset.checkbox, "I accept this licence").check().run()
    assert not find(dataset.button, "Download RAVDESS").disabled


@pytest.fixture
def mirror(server, monkeypatch):  # noqa: F811
    """A server with two small archives in place of Zenodo."""
    monkeypatch.setattr(download, "BACKOFF", 0.0)
    monkeypatch.setattr(download, "ARCHIVES", TWO)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SER_RAVDESS_URL", server.url)
    return server


def begin_download(page, folder):
    dataset = settled(page("pages/1_Dataset.py"))
    find(dataset.checkbox, "I accept this licence").check().run()
    find(dataset.text_input, "Destination folder").set_value(str(folder))
    find(dataset.button, "Download RAVDESS").click().run()
    return dataset


def test_a_download_is_paused_found_again_resumed_and_opened(page, mirror, tmp_path):
    half, go = Event(), Event()

    def wait_half_way(handler, content):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:200_000])
        half.set()
        assert go.wait(60)
        with suppress(ConnectionError):
            handler.wfile.write(content[200_000:])

    mirror.special.append(wait_half_way)
    folder = tmp_path / "ravdess"
    dataset = begin_download(page, folder)
    assert half.wait(60)
    other = page("pages/1_Dataset.py")  # another visit sees it too
    assert find(other.button, "Pause")
    find(dataset.button, "Pause").click().run()
    go.set()
    settled(dataset)
    assert "start it again to go on" in dataset.info[0].value
    assert list(folder.glob("*.part"))
    find(dataset.button, "Resume").click().run()
    settled(dataset)
    assert "All clips are downloaded" in dataset.success[0].value
    assert {path.name for path in folder.rglob("*.wav")} >= {n.split("/")[1] for n in SPEECH}
    find(dataset.button, "Look at it").click().run()
    settled(dataset)
    assert find(dataset.selectbox, "Corpus").value == str(folder)


def test_a_download_that_fails_says_why_and_can_be_tried_again(page, mirror, tmp_path):
    content = mirror.files.pop("/song.zip")
    dataset = begin_download(page, tmp_path / "ravdess")
    settled(dataset)
    assert "404 Not Found" in dataset.error[0].value
    mirror.files["/song.zip"] = content
    find(dataset.button, "Try again").click().run()
    settled(dataset)
    assert "All clips are downloaded" in dataset.success[0].value


def test_file_names_are_counted_while_the_files_are_opened(page, tmp_path):
    folder = tiny_corpus(tmp_path / "clips")
    go_on = Event()
    tasks.start(("scan", str(folder)), lambda task: go_on.wait(60), "Looking for clips")
    try:
        dataset = page("pages/1_Dataset.py")
        dataset.session_state["corpus"] = str(folder)
        dataset.run()
        assert not dataset.exception and not dataset.metric
        count = len(list(folder.iterdir()))
        assert any(f"{count} clips, counted by file names" in c.value for c in dataset.caption)
    finally:
        go_on.set()


def test_figures_of_opened_clips_are_shown_while_the_others_are_opened(page, tmp_path):
    folder = tiny_corpus(tmp_path / "clips")
    update_inspection(folder, n_jobs=1)
    table = pd.read_csv(inspection_file(folder), keep_default_na=False, dtype=str)
    table.loc[20:, "reason"] = PENDING
    table.to_csv(inspection_file(folder), index=False)
    go_on = Event()
    tasks.start(("scan", str(folder)), lambda task: go_on.wait(60), "Looking for clips")
    try:
        dataset = page("pages/1_Dataset.py")
        dataset.session_state["corpus"] = str(folder)
        dataset.session_state["looked"] = {str(folder)}
        dataset.run()
        assert not dataset.exception
        assert any("Of 20 clips opened so far" in c.value for c in dataset.caption)
        assert {"Durations", "Levels", "Means"} <= {h.value for h in dataset.subheader}
    finally:
        go_on.set()


def test_averages_are_those_of_some_clips_before_all_are_known(page, monkeypatch, tmp_path):
    monkeypatch.setattr(corpus_map, "AT_FIRST", (10,))
    go_on = Event()
    whole = projections.summarise

    def summarise(clips, **options):
        if len(clips) > 10:
            go_on.wait(60)
        return whole(clips, **options)

    monkeypatch.setattr(projections, "summarise", summarise)
    folder = tiny_corpus(tmp_path / "clips")
    dataset = page("pages/1_Dataset.py")
    dataset.session_state["corpus"] = str(folder)
    settled(dataset.run())
    dataset.segmented_control(key="view").set_value("Averages")
    try:
        deadline = time.monotonic() + 60
        while not any("So far of 10 clips" in c.value for c in dataset.run().caption):
            assert time.monotonic() < deadline
    finally:
        go_on.set()
    settled(dataset)
    assert not dataset.exception
    assert not any("So far" in c.value for c in dataset.caption)


def test_clips_are_linked_to_what_the_model_answers(open_corpus):
    dataset = open_corpus(SAMPLES, "Clips")
    find(dataset.toggle, "Show the model's answers").set_value(True).run()
    settled(dataset)
    table = dataset.dataframe[0].value
    assert {"answer", "probability", "agrees"} <= set(table.columns)
    agrees = (table["answer"] == table["emotion"].astype(str)).mean()
    assert agrees == table["agrees"].mean() > 0.6
    assert any("everyday" in caption.value for caption in dataset.caption)
    find(dataset.selectbox, "Clip").set_value(str(next(SAMPLES.rglob(FIRST)))).run()
    find(dataset.toggle, "Ask the model about this clip").set_value(True).run()
    assert not dataset.exception
    assert any("neutral" in heading.value.lower() for heading in dataset.subheader)


def test_doubtful_labels_come_first_and_are_decided_about(open_corpus, tmp_path):
    folder = tiny_corpus(tmp_path / "corpus")
    wrong = folder / "03-01-04-01-01-01-25.flac"  # of somebody sad
    shutil.copy(next(SAMPLES.rglob("03-01-05-02-01-01-25.flac")), wrong)
    dataset = open_corpus(folder, "Clips")
    before = int(metrics(dataset)["Clips"])
    find(dataset.toggle, "Most doubtful labels first").set_value(True).run()
    settled(dataset)
    table = dataset.dataframe[0].value
    assert table["doubt"].is_monotonic_decreasing
    assert wrong.name in table["name"].tolist()[:3]
    assert table.set_index("name").loc[wrong.name, "suggested"] == "angry"
    find(dataset.selectbox, "Clip").set_value(str(wrong)).run()
    find(dataset.button, "Angry").click().run()
    assert not dataset.exception and not dataset.error
    review = (folder / "label-review.csv").read_text()
    assert f"{wrong.name},sad,correct,angry" in review
    opened = find(dataset.selectbox, "Clip").value
    assert opened != str(wrong), "the next clip is opened"
    find(dataset.button, "Leave out").click().run()
    assert f"{opened.rsplit('/', 1)[-1]}," in (folder / "label-review.csv").read_text()
    assert any("1 corrected, 1 left out" in caption.value for caption in dataset.caption)
    find(dataset.toggle, "Most doubtful labels first").set_value(False)
    find(dataset.button, "Rescan").click().run()
    settled(dataset)
    assert int(metrics(dataset)["Clips"]) == before - 1
    emotions = dataset.dataframe[0].value.set_index("name")["emotion"]
    assert emotions[wrong.name] == "angry"
    dataset.segmented_control(key="view").set_value("Overview").run()
    assert find(dataset.selectbox, "Left out in label review").value == opened
    find(dataset.button, "Take it back").click().run()
    settled(dataset)
    assert not dataset.exception and not dataset.error
    assert int(metrics(dataset)["Clips"]) == before
    assert "Take it back" not in [button.label for button in dataset.button]


def test_a_review_that_is_damaged_gets_a_sentence(open_corpus, tmp_path):
    folder = tiny_corpus(tmp_path / "corpus", ("05",))
    (folder / "label-review.csv").write_text("nonsense")
    dataset = open_corpus(folder)
    assert "has the columns nonsense" in dataset.error[0].value


def test_health_is_checked_before_training(open_corpus):
    dataset = open_corpus(SAMPLES, "Health")
    said = " ".join(text.value for text in dataset.markdown)
    assert "**Emotions per speaker.** Every speaker has every emotion." in said
    assert "**Without listening.**" in said


def test_groups_are_compared_by_pitch_level_and_rate(open_corpus):
    dataset = open_corpus(SAMPLES)
    find(dataset.segmented_control, "Of each").set_value("Gender").run()
    assert not dataset.exception
    table = next(d.value for d in dataset.dataframe if "pitch_hz" in d.value).set_index("gender")
    assert table.loc["male", "pitch_hz"] < table.loc["female", "pitch_hz"]
    assert table["clips"].sum() == 120 and table["rate"].between(1, 7).all()


def test_a_corpus_is_uploaded_as_a_zip_file(page, tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "data", lambda: tmp_path / "data")
    dataset = page("pages/1_Dataset.py")
    archive = shutil.make_archive(str(tmp_path / "my corpus"), "zip", tiny_corpus(tmp_path / "c"))
    upload = next(u for u in dataset.file_uploader if "Zip file" in u.label)
    upload.set_value(("my corpus.zip", Path(archive).read_bytes(), "application/zip")).run()
    next(b for b in dataset.button if b.label == "Unpack and open").click().run()
    settled(dataset)
    assert metrics(dataset)["Clips"] == "40"
    assert len(list((tmp_path / "data" / "my-corpus").iterdir())) == 40
    empty = shutil.make_archive(str(tmp_path / "empty"), "zip", PROJECT / "docs")
    upload = next(u for u in dataset.file_uploader if "Zip file" in u.label)
    upload.set_value(("empty.zip", Path(empty).read_bytes(), "application/zip")).run()
    next(b for b in dataset.button if b.label == "Unpack and open").click().run()
    assert "holds no file" in dataset.error[0].value
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["my-corpus"]
