import json

from ser.assets import REPORTS, SHIPPED_MODEL


def test_home_says_what_this_is_and_how_good_the_model_is(page):
    home = page("Home.py")
    assert not home.exception
    report = json.loads((SHIPPED_MODEL / "report.json").read_text())
    unseen = json.loads((REPORTS / "speakers.json").read_text())
    shown = {metric.label: metric.value for metric in home.metric}
    assert shown["On its own test clips"] == f"{report['accuracy']:.1%}"
    assert shown["On unseen speakers"] == f"{unseen['accuracy']:.1%}"
    # The figure that matters for a stranger's voice stands beside it, and is the lower one.
    assert float(shown["On unseen speakers"].rstrip("%")) < 100 * report["accuracy"]
    assert any(f"weighted F1 {report['weighted_f1']:.3f}" in c.value for c in home.caption)


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
