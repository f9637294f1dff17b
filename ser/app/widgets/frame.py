"""How a page begins and ends: its name, what must be said on every page, and who is served."""

from __future__ import annotations

import streamlit as st

from ser import assets
from ser.app import access, workspace
from ser.app.widgets import account, layout, microphone, resources, visitor
from ser.training.runs import BUSY_STATES, Run

_PAGE = "page"  # of this visitor: the one shown last


def page(title: str, *, wide: bool = True) -> None:
    """Begin a page: its name in the tab, its heading, and in a team the login."""
    st.set_page_config(
        page_title=f"{title} · ser",
        page_icon=str(assets.ICON),
        layout="wide" if wide else "centered",
    )
    access.give_visitor(visitor.current)
    if access.mode() != access.ALONE:
        resources.decode_apart()
    if st.context.theme.type == "dark":
        # Streamlit writes white on the primary colour, and on the dark theme's that is 2.6 to 1.
        dark = layout.INK["light"]
        st.html(f"<style>[data-testid=stBaseButton-primary] {{color: {dark}}}</style>")
    if st.session_state.get(_PAGE) != title:
        microphone.stop()  # who comes back to a page is not heard before they say so
        st.session_state[_PAGE] = title
        visitor.log("page", page=title)
    _notice()
    if access.is_team():
        account.show()
    st.title(title, anchor=False)


_NOTICE = (
    "This app recognises emotions in voices. What you say or upload is processed on the computer "
    "it runs on, is not used to judge anyone, and is not kept unless you agree."
)
_PUBLIC = (
    " Everything you keep here is yours alone and is deleted when you leave: download it first."
)


def _notice() -> None:
    """Tell a visitor what this is, at first use and then in the sidebar.

    The EU AI Act asks for it, Article 50(3).
    """
    words = _NOTICE + (_PUBLIC if access.is_public() else "")
    if st.session_state.get("informed"):
        st.sidebar.caption(words)
        return
    with st.container(border=True, key="notice"):
        said, done = st.columns([4, 1], vertical_alignment="center")
        said.write(f":material/info: {words}")
        # A callback: what draws the page anew meanwhile, as the microphone does when it is found,
        # would leave no time to look at what the button returns.
        done.button("Understood", on_click=_inform)


def _inform() -> None:
    st.session_state["informed"] = True


# What these two say goes when it is no longer so. They do not draw the page anew for it: that would
# close whatever dialog is open.
@st.fragment(run_every=1.0)
def _watch_warm_up() -> None:
    if resources.warm_up().done():
        return
    words = "The model is being loaded (a few seconds, the first time only)."
    st.caption(f":material/hourglass_top: {words}")


def _busy() -> list[Run]:
    return [run for run in workspace.runs() if run.read_status().state in BUSY_STATES]


@st.fragment(run_every=3.0)
def _watch_trainings() -> None:
    """Say in the sidebar what is being trained, until nothing is."""
    busy = _busy()
    if not busy:
        return
    for run in busy:
        status = run.read_status()
        share = min(status.done / status.total, 1.0) if status.total else 0.0
        words = "in the queue" if status.state == "queued" else status.message or status.state
        st.progress(share, f"**{layout.plain(run.folder.name)}**: {layout.plain(words)}")
    st.page_link("pages/2_Training.py", label="Watch the training", icon=":material/school:")


def finish() -> None:
    """End a page: what is being trained, and the model, loaded in the background.

    There is a word about it while that lasts.
    """
    if st.session_state.get(_PAGE) != "Training" and _busy():
        with st.sidebar:
            _watch_trainings()
    if not resources.warm_up().done():
        with st.sidebar:
            _watch_warm_up()
