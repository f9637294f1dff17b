"""Serving the HTTP API from a process of its own."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from ser.errors import SerError
from ser.utils.extras import need


class ServiceError(SerError):
    """The API cannot be served."""

    code = "service"


def serve(
    models: Sequence[Path],
    *,
    address: str = "127.0.0.1",
    port: int = 8502,
    keys: Path | None = None,
    public: bool = False,
    megabytes: int = 60,
    seconds: int = 600,
) -> None:
    """Serve the HTTP API in this process until it is stopped.

    Parameters
    ----------
    models : sequence of Path
        Bundles; each is called like its folder, and the first is the default.
    address : str
        Where to listen; by default to programs on this computer only.
    port : int
        From 1 to 65535.
    keys : Path, optional
        File of API keys, see `ser.service.keys`.
    public : bool
        Whether everybody may ask who can reach an address other than this computer's own.
    megabytes, seconds
        See `ser.service.app.Limits`.

    Raises
    ------
    MissingExtraError
        If what serves is not installed.
    ServiceError
        If two models have one name, or others could ask without
        a key.
    DataError
        If the keys cannot be read.
    """
    need("serve", "fastapi", "uvicorn")
    if keys is None and not public and not _is_own(address):
        raise ServiceError(
            f"Everybody who reaches {address} could ask without a key. Make keys with ser key NAME "
            "FILE and give --keys FILE, or say --public."
        )
    named = {folder.resolve().name: folder for folder in models}
    if len(named) < len(models):
        raise ServiceError("Two of the models have the same name. Rename one's folder.")
    import uvicorn

    from ser.models.bundle import read_manifest
    from ser.service.app import Limits, create_app
    from ser.service.keys import Keys

    for folder in models:
        read_manifest(folder)  # or it says what is wrong with it, before anything is served
    app = create_app(
        named,
        keys=None if keys is None else Keys(keys),
        limits=Limits(megabytes=megabytes, seconds=seconds),
    )
    uvicorn.run(app, host=address, port=port, log_level="warning", server_header=False)


def _is_own(address: str) -> bool:
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
