"""The HTTP API as an ASGI application."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect

import ser
from ser import audio
from ser.audio.sandbox import Decoders
from ser.errors import BundleError, DataError, SerError
from ser.models.explanation import explain as explain_clip
from ser.models.recognizer import Recognizer
from ser.models.streaming import HOP_SECONDS, StreamingRecognizer
from ser.service.batching import Batcher
from ser.service.keys import Keys
from ser.service.request_log import HEADER, RequestLog
from ser.service.schemas import Answer, Model, Predictions, Problem, Why, records

_LOG = logging.getLogger(__name__)
# By code; what is none of these is 422: the request is understood and cannot be answered.
_STATUS = {
    "audio-too-large": 413,
    "audio-too-long": 413,
    "audio-unsupported": 415,
    "bundle": 500,
    "no-such-model": 404,
}
_RATES = (4_000, 192_000)  # Hz of a stream
_PATIENCE = 30.0  # seconds until a client that sends nothing, though it should, is let go
_SENDING = 300.0  # seconds until a recording must have arrived
_GLANCE = 0.1  # seconds after which a stream is looked at for new answers


class NoSuchModelError(BundleError):
    """There is no model of this name."""

    code = "no-such-model"


@dataclass(frozen=True)
class Limits:
    """How much is asked for at once.

    Attributes
    ----------
    megabytes : int
        Of one recording.
    seconds : int
        Length of a recording of which a timeline is made.
    waiting : int
        Requests that are worked on or wait; more are told to come back.
    streams : int
        Clients that speak at the same time.
    """

    megabytes: int = 60
    seconds: int = 600
    waiting: int = 40
    streams: int = 8


def create_app(
    models: Mapping[str, Path],
    *,
    keys: Keys | None = None,
    limits: Limits | None = None,
    load: Callable[[Path], Recognizer] = Recognizer.load,
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    models : mapping of str to Path
        The bundles that can be asked, by name; the first is the default.
    keys : Keys, optional
        Who may ask; everybody without.
    limits : Limits, optional
        How much is asked for at once.
    load : callable
        Returns the model in a folder.

    Returns
    -------
    FastAPI
        An ASGI application; its OpenAPI 3.1 is at ``/openapi.json``.
    """
    service = _Service(models, keys, limits or Limits(), load)
    app = FastAPI(
        title="ser",
        summary="Speech emotion recognition",
        version=ser.__version__,
        description=_DESCRIPTION,
        lifespan=service.lifespan,
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(RequestLog)
    problems: dict[int | str, dict[str, Any]] = {
        status: {
            "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
            "description": words,
        }
        for status, words in _REFUSALS.items()
    }
    # Where everybody may ask, the document asks for no key either.
    allowed = [] if keys is None else [Depends(service.check_key)]
    app.post(
        "/v1/predict",
        response_model=Predictions,
        responses=problems,
        dependencies=allowed,
        openapi_extra={"requestBody": _BODY},
        tags=["predict"],
    )(service.predict)
    app.get(
        "/v1/models",
        response_model=list[Model],
        responses={401: problems[401]},
        dependencies=allowed,
        tags=["models"],
    )(service.list_models)
    app.get("/healthz", tags=["health"])(service.healthz)
    app.get("/readyz", responses={503: problems[503]}, tags=["health"])(service.readyz)
    app.websocket("/v1/stream")(service.stream)
    app.add_exception_handler(SerError, _refused)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(WebSocketRequestValidationError, _turned_away)
    app.add_exception_handler(Exception, _failed)
    return app


_DESCRIPTION = """\
Post a recording, get the emotion in it: neutral, calm, happy, sad, angry, fearful, disgust or
surprised, with calibrated probabilities and a verdict that says whether the model believes its own
answer. Live speech goes over the WebSocket `/v1/stream`: send PCM (16 bits, mono, little-endian) as
binary messages, get an answer about every 0.4 s; `{"type": "finish"}` ends it.

Nothing that is sent is kept. Emotions are recognised in acted and read speech; how often the
answers are right with people the model has never heard stands in the project's results.
"""
_REFUSALS = {
    400: "The request is malformed.",
    401: "There is no key, or one that is nobody's.",
    404: "There is no such model.",
    408: "The recording did not arrive in time.",
    413: "The recording is too large or too long.",
    415: "It is not audio of a known format.",
    422: "The recording or an option cannot be used.",
    503: "Too much is asked for at once, or the models are being loaded.",
}
_AUDIO = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "description": "The recording: WAV, FLAC, MP3, OGG, M4A, WebM and others.",
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": {"file": _AUDIO}}
        },
        "application/octet-stream": {"schema": _AUDIO},
        "audio/*": {"schema": _AUDIO},
    },
}
_BEARER = HTTPBearer(auto_error=False, description="An API key, made with ser key.")
Emotions = Annotated[
    str | None,
    Query(
        description="Labels that can occur, with commas between; by default all.",
        examples=["happy,neutral"],
        max_length=500,
    ),
]


class _Service:
    """What the routes share."""

    def __init__(
        self,
        models: Mapping[str, Path],
        keys: Keys | None,
        limits: Limits,
        load: Callable[[Path], Recognizer],
    ) -> None:
        if not models:
            raise DataError("Name at least one model to serve.")
        self.models, self.keys, self.limits, self._load_model = dict(models), keys, limits, load
        self._batchers: dict[str, Batcher] = {}
        self._broken: set[str] = set()  # models that cannot be loaded
        self._busy = 0
        self._streams = 0

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Load the models before anybody is served, and let recordings be decoded apart."""
        decoders = Decoders()
        audio.use_decoder(decoders)
        self._workers = CapacityLimiter(self.limits.waiting)
        loading = asyncio.create_task(to_thread.run_sync(self._load))
        try:
            yield
        finally:
            await asyncio.wait([loading])
            for batcher in self._batchers.values():
                batcher.close()
            audio.use_decoder(None)
            decoders.close()

    def _load(self) -> None:
        for name, folder in self.models.items():
            try:
                self._batchers[name] = Batcher(self._load_model(folder))
            except SerError as error:
                self._broken.add(name)
                _LOG.error("%s cannot be loaded: %s", name, error)
            except Exception:  # the others can be asked nevertheless
                self._broken.add(name)
                _LOG.exception("%s cannot be loaded", name)
        gc.collect()
        gc.freeze()  # or what was loaded is looked through again and again

    async def check_key(
        self, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
    ) -> None:
        """Refuse who has no key."""
        if self.keys is not None and (given is None or self.keys.owner(given.credentials) is None):
            raise HTTPException(
                401,
                "Give an API key: Authorization: Bearer KEY. Who runs this server makes them.",
                headers={"WWW-Authenticate": "Bearer"},
            )

    async def healthz(self) -> dict[str, str]:
        """Say that the server lives."""
        return {"status": "ok"}

    async def readyz(self) -> dict[str, str]:
        """Say that the models are loaded and can be asked."""
        for name in self._broken:
            raise HTTPException(503, _cannot_be_loaded(name))
        if len(self._batchers) < len(self.models):
            raise HTTPException(503, "The models are being loaded. Try again in a few seconds.")
        return {"status": "ready"}

    async def list_models(self) -> list[Model]:
        """List the models that can be asked."""
        first = next(iter(self.models))
        return [
            Model(
                name=name,
                default=name == first,
                labels=list(batcher.recognizer.labels),
                listens=batcher.recognizer.listens,
                sha256=batcher.recognizer.manifest.model_sha256,
            )
            for name, batcher in self._batchers.items()
        ]

    def _batcher(self, name: str | None) -> Batcher:
        name = name or next(iter(self.models))
        if name not in self.models:
            raise NoSuchModelError(
                f"There is no model {name[:60]!r} here. There are: {', '.join(self.models)}."
            )
        if name in self._broken:
            raise HTTPException(503, _cannot_be_loaded(name))
        if name not in self._batchers:
            raise HTTPException(503, f"The model {name} is not loaded. Try again in a few seconds.")
        return self._batchers[name]

    async def predict(
        self,
        request: Request,
        model: Annotated[
            str | None, Query(description="Which model; by default the first.")
        ] = None,
        emotions: Emotions = None,
        timeline: Annotated[
            bool, Query(description="Whether to answer every 3 s window, not one clip.")
        ] = False,
        explain: Annotated[
            bool, Query(description="Whether to say which parts moved the answer.")
        ] = False,
    ) -> Response:
        """Name the emotion in a recording: of the 3 s of most energy, or of every window."""
        batcher = self._batcher(model)
        if self._busy >= self.limits.waiting:
            raise HTTPException(
                503, "Too many recordings at once. Try again in a second.", {"Retry-After": "1"}
            )
        self._busy += 1
        try:
            try:
                async with asyncio.timeout(_SENDING):
                    content = await self._content(request)
            except TimeoutError:
                raise HTTPException(
                    408, "The recording did not arrive in time. Try again, or send a shorter one."
                ) from None
            except ClientDisconnect:  # nobody will read this but the log
                raise HTTPException(400, "The recording did not arrive whole.") from None
            work = partial(self._answer, batcher, content, _listed(emotions), timeline, explain)
            found = await to_thread.run_sync(work, limiter=self._workers)
        finally:
            self._busy -= 1
        found = found.model_copy(update={"model": model or next(iter(self.models))})
        # It is checked already, which FastAPI would do once more.
        return Response(found.model_dump_json(), media_type="application/json")

    async def _content(self, request: Request) -> bytes:
        """Return the recording in a request, however it is packed, if it is not too large."""
        most = self.limits.megabytes * 1_000_000
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            limited = Request(request.scope, _bounded(request.receive, most))
            async with limited.form(max_files=1, max_fields=10) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise DataError("The form has no file. Send the recording as the field file.")
                return await file.read()
        if kind == "application/octet-stream" or kind.startswith("audio/") or not kind:
            return await Request(request.scope, _bounded(request.receive, most)).body()
        raise audio.UnsupportedAudioError(
            f"The content type {kind[:60]!r} is not audio. Send multipart/form-data with the field "
            "file, application/octet-stream or audio/…."
        )

    def _answer(
        self,
        batcher: Batcher,
        content: bytes,
        emotions: list[str] | None,
        timeline: bool,
        explain: bool,
    ) -> Predictions:
        samples = audio.load_audio(content)
        recognizer = batcher.recognizer.among(emotions) if emotions else batcher.recognizer
        seconds = len(samples) / audio.SAMPLING_RATE
        rate = audio.SAMPLING_RATE
        if timeline:
            if seconds > self.limits.seconds:
                raise audio.TooLongAudioError(
                    f"The recording lasts {seconds:.0f} s, and a timeline is made of at most "
                    f"{self.limits.seconds} s. Send a part of it."
                )
            rows = records(recognizer.timeline(samples, sampling_rate=rate))
        elif emotions:
            rows = records(recognizer.predict(samples, sampling_rate=rate))
        else:
            rows = [batcher.predict(samples, "recording")]
        return Predictions(
            model="",
            labels=list(recognizer.labels),
            answers=[Answer.of(row, recognizer.labels) for row in rows],
            explanation=Why.of(explain_clip(recognizer, samples)) if explain else None,
        )

    async def stream(
        self,
        socket: WebSocket,
        model: str | None = None,
        rate: int = audio.SAMPLING_RATE,
        emotions: Emotions = None,
    ) -> None:
        """Answer live speech; see the description of the API."""
        await socket.accept()
        try:
            recognizer = await self._welcome(socket, model, rate, emotions)
        except (SerError, StarletteHTTPException) as error:
            await _end(socket, _problem(error), 1008)
            return
        self._streams += 1
        listener = StreamingRecognizer(recognizer)
        try:
            await self._listen(socket, listener, rate)
        except WebSocketDisconnect:
            pass
        except TimeoutError:
            silent = HTTPException(408, f"Nothing came for {_PATIENCE:.0f} s. Connect again.")
            await _end(socket, _problem(silent), 1001)
        except DataError as error:
            await _end(socket, _problem(error), 1003)
        except _StreamFailedError as error:
            _LOG.error("A stream failed: %s", error)
            await _end(socket, _problem(error), 1011)
        finally:
            self._streams -= 1
            listener.stop()

    async def _welcome(
        self, socket: WebSocket, model: str | None, rate: int, emotions: str | None
    ) -> Recognizer:
        # Browsers keep pages from reading what other servers answer, but not from sockets.
        origin = socket.headers.get("origin")
        host = socket.headers.get("host")
        if origin is not None and origin.partition("://")[2] != host:
            raise HTTPException(403, "A page of another origin may not listen here.")
        if self.keys is not None:
            scheme, _, key = socket.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or self.keys.owner(key.strip()) is None:
                raise HTTPException(401, "Give an API key: Authorization: Bearer KEY.")
        if not _RATES[0] <= rate <= _RATES[1]:
            raise DataError(f"The rate is {rate} Hz. Give one from {_RATES[0]} to {_RATES[1]}.")
        if self._streams >= self.limits.streams:
            raise HTTPException(503, "Too many speak at once. Try again later.")
        recognizer = self._batcher(model).recognizer
        wanted = _listed(emotions)
        return recognizer.among(wanted) if wanted else recognizer

    async def _listen(self, socket: WebSocket, listener: StreamingRecognizer, rate: int) -> None:
        sent = 0
        half = b""  # of a sample whose other byte comes with the next message
        finished = False
        heard = time.monotonic()
        arriving = asyncio.create_task(socket.receive())

        async def send() -> None:
            nonlocal sent
            for row in records(listener.answers(after=sent)):
                answer = Answer.of(row, listener.labels)
                await socket.send_json({"type": "answer"} | answer.model_dump())
                sent += 1
            if error := listener.current().error:
                raise _StreamFailedError(error)

        try:
            while not finished:
                # Answers go out when they are there, whether or not more sound comes.
                done, _ = await asyncio.wait([arriving], timeout=_GLANCE)
                if done:
                    message = arriving.result()
                    if message["type"] == "websocket.disconnect":
                        return
                    arriving = asyncio.create_task(socket.receive())
                    if (data := message.get("bytes")) is not None:
                        data = half + data
                        whole = len(data) // 2 * 2
                        half = data[whole:]
                        pcm = np.frombuffer(data[:whole], "<i2")
                        step = round(HOP_SECONDS * rate)
                        for start in range(0, len(pcm), step):
                            piece = pcm[None, start : start + step]
                            await to_thread.run_sync(listener.push_in_turn, piece, rate)
                            await send()
                    elif _is_finish(message.get("text") or ""):
                        finished = True
                        await to_thread.run_sync(listener.finish)
                    heard = time.monotonic()
                elif time.monotonic() - heard > _PATIENCE:
                    raise TimeoutError
                await send()
        finally:
            arriving.cancel()
        await socket.send_json({"type": "end", "answers": sent})
        await socket.close()


class _StreamFailedError(RuntimeError):
    """A network failed while it listened."""


def _cannot_be_loaded(name: str) -> str:
    return f"The model {name} cannot be loaded. The log of the server says why."


def _bounded(receive: Callable[[], Any], most: int) -> Callable[[], Any]:
    """Return what receives a body and refuses more of it than may be."""
    received = 0

    async def bounded() -> Any:
        nonlocal received
        message = await asyncio.wait_for(receive(), _PATIENCE)
        received += len(message.get("body", b""))
        if received > most:
            raise audio.TooLargeAudioError(
                f"The request has more than {most / 1e6:.0f} MB. Send a shorter recording, or one "
                "in a compressed format."
            )
        return message

    return bounded


def _listed(emotions: str | None) -> list[str] | None:
    return [part.strip() for part in emotions.split(",") if part.strip()] if emotions else None


def _is_finish(text: str) -> bool:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or message.get("type") != "finish":
        raise DataError(
            f"{text[:60]!r} is no message of this API. Send sound as bytes, or "
            '{"type": "finish"} in the end.'
        )
    return True


def _problem(error: Exception) -> Problem:
    """Say what is wrong with a request as RFC 9457 wants it."""
    if isinstance(error, SerError):
        status, code, detail = _STATUS.get(error.code, 422), error.code, str(error)
    elif isinstance(error, RequestValidationError | WebSocketRequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        status, code, detail = 422, "option", f"{where}: {first['msg']}."
    elif isinstance(error, StarletteHTTPException):
        status, code, detail = error.status_code, f"http-{error.status_code}", str(error.detail)
    else:
        status, code = 500, "http-500"
        detail = "The server failed, which is a defect of it. Its log says more."
    if isinstance(error, StarletteHTTPException):
        title = HTTPStatus(status).phrase
        return Problem(type="about:blank", title=title, status=status, code=code, detail=detail)
    title = re.sub(r"(?<=[a-z])Error$", "", type(error).__name__)
    title = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", title).capitalize()
    return Problem(type="about:blank", title=title, status=status, code=code, detail=detail)


async def _end(socket: WebSocket, problem: Problem, code: int) -> None:
    """Say what is wrong, and close with a code of RFC 6455."""
    socket.state.code = problem.code
    with suppress(WebSocketDisconnect, RuntimeError):  # it has gone meanwhile
        await socket.send_json(problem.model_dump() | {"type": "error"})
        await socket.close(code)


async def _turned_away(socket: WebSocket, error: Exception) -> None:
    await socket.accept()
    await _end(socket, _problem(error), 1008)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    problem = _problem(error)
    request.state.code = problem.code
    return JSONResponse(
        problem.model_dump(),
        problem.status,
        # What nobody foresaw is answered from outside the log of requests, which adds its number.
        headers={HEADER: request.state.request} | (getattr(error, "headers", None) or {}),
        media_type="application/problem+json",
    )


async def _failed(request: Request, error: Exception) -> JSONResponse:
    _LOG.exception("A request failed", exc_info=error)
    return await _refused(request, error)
