"""The compression of answers: for the clients that accept it, of the answers that are worth it, and with the right headers."""

import gzip
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.api import compression
from gateway.api.answers import SharedResponse
from gateway.api.compression import OWN_THREAD_FROM, SHORTEST, Compression, SharedBody

LONG = b"[" + b"123456," * SHORTEST + b"0]"
LONGER = LONG * (OWN_THREAD_FROM // len(LONG) + 1)
SHARED = SharedBody(LONG)


async def pieces(_: Request) -> Response:
    async def body() -> Any:
        for _ in range(3):
            yield LONG

    return StreamingResponse(body(), media_type="application/json")


def route(path: str, body: bytes, media_type: str | None = "application/json", **headers: str) -> Route:
    async def answer(_: Request) -> Response:
        return Response(body, headers=headers, media_type=media_type)

    return Route(path, answer)


async def shared(_: Request) -> Response:
    return SharedResponse(SHARED, {"ETag": 'W/"1"'}, "text/javascript")


async def unchanged(_: Request) -> Response:
    return Response(status_code=304, headers={"ETag": 'W/"1"', "Vary": "Origin"})


APP = Compression(
    Starlette(
        routes=[
            route("/long", LONG),
            route("/longer", LONGER),
            route("/short", b"[" + b"0" * (SHORTEST - 3) + b"]"),
            route("/picture", LONG, "image/png"),
            route("/encoded", gzip.compress(LONG), **{"Content-Encoding": "gzip"}),
            route("/varies", LONG, Vary="Accept-Encoding, Origin"),
            route("/random", bytes(range(33, 127)) * 12, "text/plain"),
            Route("/pieces", pieces),
            Route("/shared", shared),
            Route("/unchanged", unchanged),
        ]
    )
)


async def get(path: str, accepted: str | None = "gzip") -> httpx.Response:
    transport = httpx.ASGITransport(APP)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers={"Accept-Encoding": ""}) as http:
        return await http.get(path, headers={} if accepted is None else {"Accept-Encoding": accepted})


@pytest.mark.parametrize(
    ("path", "accepted", "encoding", "vary"),
    [
        ("/long", "gzip", "gzip", "Accept-Encoding"),
        ("/longer", "gzip, br", "gzip", "Accept-Encoding"),
        ("/shared", "gzip", "gzip", "Accept-Encoding"),
        ("/random", "gzip", "gzip", "Accept-Encoding"),
        ("/varies", "gzip", "gzip", "Accept-Encoding, Origin"),
        ("/long", "gzip;q=0", None, "Accept-Encoding"),
        ("/long", "br", None, "Accept-Encoding"),
        ("/long", None, None, "Accept-Encoding"),
        ("/shared", "identity", None, "Accept-Encoding"),
        ("/short", "gzip", None, "Accept-Encoding"),
        ("/unchanged", "gzip", None, "Origin, Accept-Encoding"),
        ("/pieces", "gzip", None, "Accept-Encoding"),
        ("/picture", "gzip", None, None),
        ("/encoded", "gzip", "gzip", None),
    ],
)
async def test_which_answers(path: str, accepted: str | None, encoding: str | None, vary: str | None) -> None:
    plain, answer = await get(path, None), await get(path, accepted)
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers.get("vary") == vary
    assert answer.content == plain.content, "after it is decompressed"
    if encoding and path != "/encoded":
        assert int(answer.headers["content-length"]) < len(plain.content) / 2 or path == "/random"


async def test_shared_bytes_are_compressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    body = SharedBody(LONG)
    first = await body.compressed()
    monkeypatch.setattr(compression, "_compress", None)
    assert await body.compressed() is first
    assert gzip.decompress(first) == LONG
