import pytest

from ser.app import workspace
from ser.app.widgets import game, resources
from ser.assets import RAVDESS_MODEL, REPORTS
from ser.evaluation.report import Report
from ser.models.recognizer import Recognizer
from tests.tiny import SAMPLES

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]


def unfolded(page, key, value):
    """Open the front page with a part of it that is closed at first."""
    home = page("Home.py")
    home.session_state[key] = value
    return home.run()


def said(home):
    return " ".join(element.value for element in home.main.markdown)


def test_home_says_how_good_the_model_is_with_people_it_has_never_heard(page):
    home = unfolded(page, "how-good", True)
    assert not home.exception
    for who, name in (
        ("People it has never heard, elsewhere", "corpora"),
        (
            "The same people, once it has heard ten clips of each in various emotions",
            "corpora-after-10",
        ),
    ):
        report = Report.load(REPORTS / f"{name}.json")
        assert f"{who}: **{report.mean.accuracy:.0%}** right ({report.n_test} clips)" in said(home)
    sure = Report.load(REPORTS / "corpora.json").sure_answers()
    assert f"and {sure.accuracy:.0%} of these are right" in said(home)


def test_the_model_that_knows_24_actors_is_shown_for_what_it_is(page, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path))
    workspace.set_active_model(RAVDESS_MODEL)
    home = unfolded(page, "how-good", True)
    assert not home.exception
    own, elsewhere = RAVDESS_MODEL / "report.json", REPORTS / "emodb.json"
    assert f"learned from: **{Report.load(own).accuracy:.0%}** right" in said(home)
    assert f"elsewhere: **{Report.load(elsewhere).accuracy:.0%}** right" in said(home)


def test_everybody_is_told_what_it_is_before_anything_else(page):
    home = page("Home.py")
    notice = home.main.markdown[0].value.removeprefix(":material/info: ")
    assert "recognises emotions in voices" in notice and "not kept unless you agree" in notice
    assert notice not in [caption.value for caption in home.sidebar.caption], "once is enough"
    (understood,) = (each for each in home.button if each.label == "Understood")
    understood.click().run()
    assert not home.exception and notice not in said(home)
    assert notice in [caption.value for caption in home.sidebar.caption]


def test_who_speaks_is_answered(page):
    home = page("Home.py")
    home.audio_input[0].set_value(("said.wav", CLIP.read_bytes(), "audio/wav")).run()
    assert not home.exception and not home.error
    row = resources.recognizer().predict(CLIP).iloc[0]
    (headline,) = (each.value for each in home.subheader if "%" in each.value)
    assert row["emotion"] in headline.lower()
    assert f"{row[row['emotion']]:.0%}" in headline


@pytest.mark.parametrize("guess", ["fearful", "happy"])
def test_guesses_are_compared_with_the_model_and_with_what_was_meant(page, guess):
    home = unfolded(page, "way", "Guess first")
    home.pills[0].set_value(guess).run()
    assert not home.exception and not home.error
    assert "It was meant as **fearful**." in said(home)
    assert f"You heard {guess}: {'right' if guess == 'fearful' else 'wrong'}." in said(home)
    clip = next(SAMPLES.rglob(resources.FIRST_SAMPLE))
    named = Recognizer.load(workspace.active_model()).predict(clip)["emotion"].iloc[0]
    you, model = int(guess == "fearful"), int(named == "fearful")
    assert f"Score: you {you}, the model {model}, of 1." in said(home)
    (following,) = (each for each in home.button if each.label == "Next")
    following.click().run()
    assert not home.exception
    assert "It was meant as" not in said(home)
    played = home.session_state[game._GAME]
    assert played.shown == 1 and len(set(played.order)) == 120
