"""What is logged of each request to the HTTP API: which route, how it ended, how long it took."""

from __future__ import annotations

import secrets
import time
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ser.utils import logs

HEADER = "X-Request-ID"
"""Tells a client by which random number the log knows its request."""


class RequestLog:
    """Logs the requests to an ASGI application, see `ser.utils.logs`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        begun, number = time.monotonic(), secrets.token_hex(8)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["code"] = "http-500"  # unless somebody says how it ends
        state["request"] = number

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] < 400:
                    state["code"] = None
                MutableHeaders(scope=message)[HEADER] = number
            elif message["type"] == "websocket.accept":
                state["code"] = None
            elif message["type"] == "websocket.close" and state["code"] == "http-500":
                state["code"] = "http-403"  # as which a close before anything else arrives
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            logs.event(
                "request" if scope["type"] == "http" else "stream",
                request=number,
                # As it was declared: what stands in its place in the address is the client's.
                route=getattr(scope.get("route"), "path", None),
                code=state["code"],
                seconds=round(time.monotonic() - begun, 3),
            )
