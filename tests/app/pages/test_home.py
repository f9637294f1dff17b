from ser.app import workspace
from ser.assets import RAVDESS_MODEL, REPORTS
from ser.evaluation.report import Report


def said(home):
    return " ".join(caption.value for caption in home.caption)


def test_home_says_how_good_the_model_is_with_people_it_has_never_heard(page):
    home = page("Home.py")
    assert not home.exception
    shown = {metric.label: metric.value for metric in home.metric}
    for heading, name in (
        ("With people it has never heard", "corpora"),
        ("After ten sentences of each", "corpora-after-10"),
    ):
        report = Report.load(REPORTS / f"{name}.json")
        assert shown[heading] == f"{report.mean.accuracy:.1%}"
        assert f"Sure answers: {report.sure_answers().accuracy:.0%} right." in said(home)
    known = Report.load(RAVDESS_MODEL / "report.json")
    assert f"right on {known.accuracy:.0%} of other clips of the 24 actors" in said(home)


def test_the_model_that_knows_24_actors_is_shown_for_what_it_is(page, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path))
    workspace.set_active_model(RAVDESS_MODEL)
    home = page("Home.py")
    assert not home.exception
    shown = {metric.label: metric.value for metric in home.metric}
    own, elsewhere = RAVDESS_MODEL / "report.json", REPORTS / "emodb.json"
    assert shown["On its own test clips"] == f"{Report.load(own).accuracy:.1%}"
    assert shown["With people it has never heard"] == f"{Report.load(elsewhere).accuracy:.1%}"


def test_a_sample_is_predicted_in_one_click(page):
    home = page("Home.py")
    home.button[0].click().run()
    assert not home.exception and not home.error
    shown = {metric.label: metric.value for metric in home.metric}
    assert shown["Emotion"] in [
        "neutral",
        "calm",
        "happy",
        "sad",
        "angry",
        "fearful",
        "disgust",
        "surprised",
        "uncertain",
    ]
    assert 0 < int(shown["Probability"].rstrip("%")) <= 100


def test_the_answer_of_another_sample_is_never_shown(page):
    home = page("Home.py")
    home.button[0].click().run()
    home.selectbox[0].select_index(3).run()
    assert not home.exception
    assert "Emotion" not in {metric.label for metric in home.metric}
