"""What is chosen on a page stands in its address, so that links, reload, Back and Forward keep it.

Streamlit's ``bind="query-params"`` does so too, but replaces the browser's last entry instead of
adding one: Back would leave the page.
"""

from __future__ import annotations

from collections.abc import Collection

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


def moved() -> bool:
    """Say whether the page is drawn because the user went back or forward in the browser."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def kept(name: str, default: str | list[str] | None, options: Collection[str] = ()) -> str:
    """Keep what is chosen in a widget in the address, just before it is drawn.

    Parameters
    ----------
    name : str
        What it is called in the address.
    default : str, list of str or None
        What is chosen if the address says nothing; a list if several can be chosen.
    options : collection of str
        What can be chosen; anything else in the address is passed over. If empty, all is taken.

    Returns
    -------
    str
        The widget's ``key``. It needs no ``default``, but ``persist_state="session"`` if it takes
        that: else a page that is drawn anew at once leaves it empty in the browser.
    """
    state = st.session_state
    there = st.query_params.get_all(name)
    if moved() or name not in state:
        asked = [one for one in there if not options or one in options]
        several = isinstance(default, list)
        state[name] = (asked if several else asked[-1]) if asked else default
    chosen = state[name]
    wanted = [] if chosen == default else chosen if isinstance(chosen, list) else [chosen]
    if wanted != there:
        st.query_params[name] = wanted
    return name
