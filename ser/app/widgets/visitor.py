"""What belongs to one visitor of a public server: a folder that is gone with their session."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


@st.cache_resource(
    scope="session", show_spinner=False, on_release=tempfile.TemporaryDirectory.cleanup
)
def _store() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ser-visitor-", ignore_cleanup_errors=True)


def own_folder() -> Path | None:
    """Return the folder of the visitor whose page is being made; None outside of a page."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    return Path(_store().name)
