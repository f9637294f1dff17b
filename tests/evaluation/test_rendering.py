import pytest

from ser.evaluation.rendering import to_html
from ser.evaluation.report import Report
from tests.tiny import SAMPLES


@pytest.fixture(scope="module")
def report(finished_run):
    return Report.load(finished_run.folder / "report.json")


def test_the_page_stands_alone_and_says_the_figures(finished_run, report):
    page = (finished_run.folder / "report.html").read_text()
    assert f"{100 * report.accuracy:.1f} %" in page
    # The confusion matrix, its confidence, the conditions and the curves.
    assert page.count("<svg") == 4
    assert "<script" not in page and "src=" not in page
    for label in report.classes:
        assert label in page


def test_the_model_card_says_figures_limits_and_the_command(finished_run, report):
    card = (finished_run.folder / "MODEL_CARD.md").read_text()
    assert f"{100 * report.accuracy:.1f} %" in card
    assert "python -m ser train" in card
    assert "AI Act" in card
    assert "same speakers" in card


def test_names_cannot_break_the_page(report):
    page = to_html(report.model_copy(update={"title": "<script>alert(1)</script>"}), [])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_cross_validation_has_a_page_with_its_folds():
    study = Report.load(SAMPLES.parent.parent / "reports" / "speakers-quick.json")
    page = to_html(study, [])
    assert f"<h1>{study.title}</h1>" in page and "By fold" in page


def test_latex_holds_the_figures_and_nothing_that_breaks_it(report):
    from ser.evaluation.latex import to_latex

    odd = report.model_copy(update={"title": "50 % of_all {things} \\input{x}\nnext"})
    text = to_latex(odd)
    assert text.splitlines()[0].startswith("% 50 % of_all")
    assert r"\caption{50 \% of\_all \{things\} \textbackslash{}input\{x\}" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") >= 4
    assert f"{100 * report.accuracy:.1f} \\%" in text
    counts = [str(n) for row in report.confusion_matrix for n in row]
    confusion = text.split(r"\label{tab:confusion}")[1].split(r"\bottomrule")[0]
    assert all(n in confusion for n in counts)
