"""Serving the HTTP API from a process of its own."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import SerError
from ser.utils import logs
from ser.utils.extras import need

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ser.models.recognizer import Recognizer


class ServiceError(SerError):
    """The API cannot be served."""

    code = "service"


def serve(
    models: Sequence[Path], *, address: str = "127.0.0.1", port: int = 8502, **options: Any
) -> None:
    """Serve the HTTP API in this process until it is stopped.

    Parameters
    ----------
    models : sequence of Path
        See `application`.
    address : str
        Where to listen; by default to programs on this computer only.
    port : int
        From 1 to 65535.
    **options
        Those of `application`.

    Raises
    ------
    ServiceError, DataError, BundleError
        See `application`; also if ``SER_LOG`` is unknown.
    """
    app = application(models, address=address, **options)
    logs.begin("api")
    import uvicorn

    uvicorn.run(
        app,
        host=address,
        port=port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=30,  # whoever sends slowly cannot keep it from ending
    )


def application(
    models: Sequence[Path],
    *,
    address: str,
    keys: Path | None = None,
    public: bool = False,
    megabytes: int = 60,
    seconds: int = 600,
    load: Callable[[Path], Recognizer] | None = None,
) -> FastAPI:
    """Return the API once it is certain that it can be served.

    Parameters
    ----------
    models : sequence of Path
        Bundles; each is called like its folder, and the first is the default.
    address : str
        Where it will listen.
    keys : Path, optional
        File of API keys, see `ser.service.keys`.
    public : bool
        Whether everybody may ask who can reach an address other than this computer's own.
    megabytes, seconds
        See `ser.service.app.Limits`.
    load : callable, optional
        See `ser.service.app.create_app`.

    Raises
    ------
    MissingExtraError
        If what serves is not installed.
    ServiceError
        If two models have one name, or others could ask without
        a key.
    DataError
        If the keys cannot be read.
    BundleError
        If a folder holds no model.
    """
    need("serve", "fastapi", "uvicorn")
    if keys is None and not public and not _is_own(address):
        raise ServiceError(
            f"Everybody who reaches {address} could ask without a key. Make keys with ser key NAME "
            "FILE and give --keys FILE. (ser serve also takes --public.)"
        )
    named = {folder.resolve().name: folder for folder in models}
    if len(named) < len(models):
        raise ServiceError("Two of the models have the same name. Rename one's folder.")
    from ser.models.bundle import read_manifest
    from ser.models.recognizer import Recognizer
    from ser.service.app import Limits, create_app
    from ser.service.keys import Keys

    for folder in models:
        read_manifest(folder)  # or it says what is wrong with it, before anything is served
    return create_app(
        named,
        keys=None if keys is None else Keys(keys),
        limits=Limits(megabytes=megabytes, seconds=seconds),
        load=load or Recognizer.load,
    )


def _is_own(address: str) -> bool:
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
