from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session", autouse=True)
def loaded():
    """Let the pages finish loading the model: a process that ends meanwhile is aborted."""
    yield
    import ui

    ui.warm_up().result()


@pytest.fixture
def page(monkeypatch):
    """Open a page of the app as Streamlit would."""
    monkeypatch.chdir(PROJECT)
    monkeypatch.syspath_prepend(str(PROJECT))

    def open_page(name):
        return AppTest.from_file(str(PROJECT / name), default_timeout=120).run()

    return open_page
