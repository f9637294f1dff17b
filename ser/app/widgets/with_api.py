"""The app with the HTTP API in the same process, which then holds each model once."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.routing import Mount

from ser import assets
from ser.models.recognizer import Recognizer
from ser.service import server

PREFIX = "/api"
"""What the paths of the API begin with; all others are the app's."""


def run(
    models: Sequence[Path], *, address: str, keys: Path | None, config: Mapping[str, Any]
) -> None:
    """Serve both until they are stopped.

    Parameters
    ----------
    models, address, keys
        See `ser.service.server.application`.
    config : mapping of str to Any
        Streamlit's, of the server.

    Raises
    ------
    ServiceError, DataError, BundleError
        See `ser.service.server.application`.
    """
    api = server.application(models, address=address, keys=keys, load=_load)

    @asynccontextmanager
    async def lifespan(app: st.App) -> AsyncIterator[None]:
        async with api.router.lifespan_context(api):
            yield

    # Streamlit looks for its settings beside what was started.
    sys.argv = [str(assets.APP)]
    st.App(assets.APP, routes=[Mount(PREFIX, app=api)], lifespan=lifespan).run(config=config)


def _load(folder: Path) -> Recognizer:
    from ser.app.widgets import resources  # what it keeps belongs to the server that runs by now

    return resources.shared_recognizer(folder)
