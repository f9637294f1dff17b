"""What is computed once for what a visitor looks at now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

Result = TypeVar("Result")


def kept(kind: str, what: Any, compute: Callable[[], Result]) -> Result:
    """Compute once for what is shown now: this user's, named by content, so never another's."""
    store = st.session_state.setdefault("kept", {})
    if kind not in store or store[kind][0] != what:
        store[kind] = (what, compute())
    result: Result = store[kind][1]
    return result
