"""The app, served from any folder."""

from __future__ import annotations

import os
import runpy
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from ser import assets
from ser.app import access
from ser.utils import logs
from ser.utils.extras import need


def serve(
    *,
    address: str = "localhost",
    port: int | None = None,
    browser: bool = True,
    api: bool = False,
    keys: Path | None = None,
) -> None:
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
    api : bool
        Whether programs can ask the shipped models under ``/api``, see `ser.service`.
    keys : Path, optional
        File of API keys, without which nobody else can be let in.

    Raises
    ------
    MissingExtraError
        If Streamlit or what connects it with microphones is not installed.
    ServiceError
        See `ser.service.server.application`.
    DataError, OutputError
        See `ser.app.metrics.serve` and `ser.utils.logs.begin`.
    """
    needed = ["streamlit", "streamlit_webrtc"]
    if access.is_team():  # or it says what is wrong with SER_MODE, before anything is served
        access.team()
        needed.append("authlib")
    need("app", *needed)
    from ser.app import metrics  # needs what is installed with the app

    metrics.serve()
    logs.begin(access.mode())
    # Rich would print an error, with what it quotes, beside the log.
    config: dict[str, Any] = {"server.address": address, "logger.enableRich": False}
    if access.is_public():
        config["server.maxUploadSize"] = access.PUBLIC_UPLOAD
    if port is not None:
        config["server.port"] = port
    if browser and _has_screen():
        config |= {"server.headless": False, "server.showEmailPrompt": False}
    # Not imported above: all that imports Streamlit here are the pages and their widgets.
    if api:
        models = [assets.DEFAULT_MODEL, assets.RAVDESS_MODEL]
        with_api = import_module("ser.app.widgets.with_api")
        with_api.run(models, address=address, keys=keys, config=config)
        return
    flags = [f"--{name}={str(value).lower()}" for name, value in config.items()]
    sys.argv = ["streamlit", "run", str(assets.APP), *flags]
    runpy.run_module("streamlit", run_name="__main__")


def _has_screen() -> bool:
    on_linux = sys.platform.startswith("linux")
    return not on_linux or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
