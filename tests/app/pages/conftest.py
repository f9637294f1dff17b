from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="session", autouse=True)
def loaded():
    """Let the pages finish loading what they need: a process that ends meanwhile is aborted."""
    yield
    from ser.app.widgets import resources

    resources.warm_up().result()


@pytest.fixture
def visit(monkeypatch):
    """Go to a page of the app from its front door, as Streamlit would; it has not run yet."""
    monkeypatch.chdir(PROJECT)
    monkeypatch.syspath_prepend(str(PROJECT))

    def visit(name):
        app = AppTest.from_file(str(PROJECT / "Home.py"), default_timeout=120)
        return app if name == "Home.py" else app.switch_page(name)

    return visit


@pytest.fixture
def page(visit):
    """Open a page of the app."""
    return lambda name: visit(name).run()
