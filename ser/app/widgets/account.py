"""Logging in to a team, what somebody keeps there, and what its admins see."""

from __future__ import annotations

from functools import partial
from urllib.parse import parse_qsl, unquote, urlsplit

import pandas as pd
import streamlit as st
from streamlit.errors import StreamlitAuthError

from ser import assets
from ser.app import access, audit, members, processes, sharing, workspace
from ser.app.access import Role, Visitor
from ser.app.widgets import layout, visitor
from ser.errors import SerError

_ROLES = {
    Role.VIEWER: "You can ask models, read reports and record your own voice.",
    Role.MEMBER: "You can also open corpora, and train, test and share models.",
    Role.ADMIN: "You can do everything here, and see and stop what others do.",
}
_GREETED = "greeted"  # of this session: whether the log knows that they came
_ASKED = "ser_asked"  # the cookie that says which page was asked for
# Whoever has logged in is sent to the front page by Streamlit, which knows no other. So the browser
# keeps the address meanwhile: nothing of it is written here, and only pages of this app are shown.
_KEEP_ASKED = (
    f"<script>document.cookie = '{_ASKED}=' + encodeURIComponent(location.pathname + "
    "location.search) + '; path=/; max-age=600; samesite=lax'</script>"
)
_OPEN = "account"  # of this session: whether the dialog is open, also when the page is drawn anew


def show() -> None:
    """Let nobody on who has not logged in, and say in the sidebar who has."""
    who = None
    with layout.errors_for_people():
        who = visitor.current()
        if who is not None and not st.session_state.get(_GREETED):
            new = members.greet()
            st.session_state[_GREETED] = True
            if new:
                _go_on()
    if who is None:
        _show_login()
        st.stop()
    with st.sidebar:
        label = f"{layout.plain(who.name)} · {who.role}"
        st.button(label, icon=":material/account_circle:", width="stretch", on_click=_open)
    if st.session_state.get(_OPEN):
        _show_account()


def _open() -> None:
    st.session_state[_OPEN] = True


def _close() -> None:
    st.session_state[_OPEN] = False


def _go_on() -> None:
    """Show the page that was asked for before the login."""
    asked = urlsplit(unquote(st.context.cookies.get(_ASKED, "")))
    pages = {
        file.stem.partition("_")[2]: file.name for file in assets.APP.parent.glob("pages/*.py")
    }
    if (name := asked.path.rpartition("/")[2]) in pages:
        query = [(k, v) for k, v in parse_qsl(asked.query) if not k.lower().startswith("embed")]
        st.switch_page(f"pages/{pages[name]}", query_params=query)


def _show_login() -> None:
    if not st.user.get("is_logged_in"):
        st.html(_KEEP_ASKED, unsafe_allow_javascript=True)
        st.write("Log in to go on.")
        if st.button("Log in", type="primary", icon=":material/login:"):
            try:
                st.login()
            except StreamlitAuthError as error:
                words = f"Nobody can log in: this server's login is not set up. {error}"
                st.error(layout.plain(words), icon=":material/error:")
        return
    name = layout.plain(str(st.user.get("email") or st.user.get("sub") or "You"))
    st.write(f"{name} has no role on this server. Ask whoever runs it for one.")
    st.button("Log out", icon=":material/logout:", on_click=st.logout)


@st.dialog("Your account", width="large", on_dismiss=_close)
def _show_account() -> None:
    who = None  # asked anew at each click, as the role may have been taken away
    with layout.errors_for_people():
        who = visitor.current()
    if who is None:
        st.rerun()
    st.write(f"**{layout.plain(who.name)}**, {who.role}. {_ROLES[who.role]}")
    st.button("Log out", icon=":material/logout:", on_click=st.logout)
    with layout.errors_for_people():
        if who.role is Role.ADMIN:
            part = st.segmented_control(
                "Part",
                ["What you keep", "Team", "Audit log"],
                default="What you keep",
                required=True,
                label_visibility="collapsed",
            )
            if part == "Team":
                _show_team()
                return
            if part == "Audit log":
                _show_log()
                return
        _show_shared()
        _show_own(who)


def _show_own(who: Visitor) -> None:
    megabytes = members.size(who.folder) / 1e6
    st.write(
        f"You keep {megabytes:.0f} MB here: recordings, trainings, models, corpora and settings. "
        "Nobody else can see them, except what you share. Admins see how much space they take."
    )
    with st.container(horizontal=True):
        st.download_button(
            "Download everything",
            partial(members.export, who),  # called when no page is being made
            "everything.zip",
            icon=":material/folder_zip:",
            on_click="ignore",
        )
        with st.popover("Erase everything", icon=":material/delete_forever:"):
            st.write(
                "Everything is deleted for good, including what you share, and running work is "
                "stopped. Your name is removed from the audit log."
            )
            if st.button("Erase it", type="primary") and _erased():
                st.logout()


def _erased() -> bool:
    try:
        with st.spinner("Stopping what runs, and erasing …"):
            members.erase()
    except SerError as error:
        st.error(layout.plain(str(error)), icon=":material/error:")
        return False
    return True


def _show_shared() -> None:
    """List what this member shares, or may take back."""
    mine = [f for f in workspace.shared_models() if sharing.is_own(f) or access.is_admin()]
    for folder in mine:
        words, button = st.columns([3, 1], vertical_alignment="center")
        words.write(f"Shared: **{layout.plain(layout.model_label(folder))}**")
        if button.button("Stop sharing", key=f"back-{folder.name}", icon=":material/undo:"):
            sharing.take_back(folder)
            st.rerun(scope="fragment")


def _show_team() -> None:
    st.dataframe(
        members.table(),
        hide_index=True,
        column_config={
            "member": "Member",
            "role": "Role",
            "seen": st.column_config.DatetimeColumn("Last login", format="localized"),
            "megabytes": st.column_config.NumberColumn("Keeps (MB)", format="%.0f"),
            "busy": "Running and waiting",
        },
    )
    for run in members.busy():
        words, button = st.columns([3, 1], vertical_alignment="center")
        words.write(f"**{layout.plain(run.folder.name)}**: {run.read_status().state}")
        if button.button("Stop", key=f"stop-{run.folder}", icon=":material/stop_circle:"):
            processes.stop(run)
            st.toast(f"Asked {layout.plain(run.folder.name)} to stop.")


def _show_log() -> None:
    log = audit.entries()
    st.dataframe(
        log.assign(time=pd.to_datetime(log["time"])),
        hide_index=True,
        column_config={
            "time": st.column_config.DatetimeColumn("Time", format="localized"),
            "who": "Who",
            "role": "Role",
            "what": "What",
            "which": "Which",
        },
    )
    st.download_button(
        "Download", layout.csv(log), "audit-log.csv", icon=":material/download:", on_click="ignore"
    )
