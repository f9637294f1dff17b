"""The app, served from any folder."""

from __future__ import annotations

import os
import runpy
import sys

from ser import assets
from ser.app import access
from ser.utils.extras import need


def serve(*, address: str = "localhost", port: int | None = None, browser: bool = True) -> None:
    """Serve the app in this process until it is stopped, which ends the process.

    Streamlit reads the theme and the settings of the server from ``.streamlit`` beside the app's
    first page.  The working directory stays, so that what visitors type is relative to it.

    Parameters
    ----------
    address : str
        Where to listen; the app reads whatever folder its visitors name, so by default only people
        at this computer are let in. ``0.0.0.0`` is for everybody who can reach it.
    port : int, optional
        From 1 to 65535; the first free one from 8501 if not given.
    browser : bool
        Whether to open a browser, if there is a screen to show it on.

    Raises
    ------
    MissingExtraError
        If Streamlit or what connects it with microphones is not installed.
    DataError, OutputError
        See `ser.app.metrics.serve`.
    """
    needed = ["streamlit", "streamlit_webrtc"]
    if access.is_team():  # or it says what is wrong with SER_MODE, before anything is served
        access.team()
        needed.append("authlib")
    need("app", *needed)
    from ser.app import metrics  # needs what is installed with the app

    metrics.serve()
    flags = [f"--server.address={address}"]
    if port is not None:
        flags.append(f"--server.port={port}")
    if browser and _has_screen():
        flags += ["--server.headless=false", "--server.showEmailPrompt=false"]
    sys.argv = ["streamlit", "run", str(assets.APP), *flags]
    # Run rather than imported: all that imports Streamlit here are the pages and their widgets.
    runpy.run_module("streamlit", run_name="__main__")


def _has_screen() -> bool:
    on_linux = sys.platform.startswith("linux")
    return not on_linux or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
