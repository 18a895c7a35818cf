"""The edge alone, with a played gateway behind it: its refusals when there is no gateway and when the gateway fails."""

import asyncio
import contextlib
import json
import subprocess
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from support.compose import ROOT
from support.docker import no_docker
from support.waiting import PATIENCE_S, free_port, until

# Answers probes, echoes each request, and breaks off the response if the path says so.
PLAYED = """
import http.server, json

class Gateway(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if "breaks" in self.path:
            self.wfile.write(b"HTTP/1.1 2")
            self.close_connection = True
            return
        body = json.dumps({"line": self.requestline, "headers": self.headers.items()}).encode()
        self.send_response(501 if "cannot" in self.path else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): pass

http.server.ThreadingHTTPServer(("", 8000), Gateway).serve_forever()
"""
EVENTS = {"Accept": "text/event-stream"}
SHORTEST_HOLD_S = 2.5  # the edge holds requests for three seconds, measured by another clock than ours

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(no_docker() is not None, reason=str(no_docker())),
    pytest.mark.timeout(240),
]


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=120).stdout.strip()


class Edge:
    """An edge in a network of its own, to which a gateway can be added, and a client of the edge."""

    def __init__(self, network: str, port: int, client: httpx.AsyncClient) -> None:
        self._network, self.port, self.client = network, port, client

    @contextlib.asynccontextmanager
    async def gateway(self) -> AsyncIterator[None]:
        """Run a played gateway while the context lasts; it is killed at the end."""
        named = ("--network", self._network, "--network-alias", "gateway")
        container = docker("run", "--rm", "--detach", *named, "python:3.13-slim", "python", "-c", PLAYED)
        try:
            await until(lambda: self.says(200))
            yield
        finally:
            docker("rm", "--force", container)

    async def says(self, status: int) -> bool:
        """Return whether a request is answered with this status."""
        with contextlib.suppress(httpx.TransportError):
            return (await self.client.get("/livez")).status_code == status
        return False


@contextlib.asynccontextmanager
async def running_edge(**environment: str) -> AsyncIterator[Edge]:
    name, port = f"edge-{uuid.uuid4().hex[:8]}", free_port()
    variables = [part for variable in environment.items() for part in ("--env", "=".join(variable))]
    config = f"{ROOT}/deploy/edge/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"
    where = ("--name", name, "--network", name, "--publish", f"127.0.0.1:{port}:8080", "--volume", config)
    docker("network", "create", name)
    try:
        docker("run", "--detach", *where, *variables, "haproxy:3.0")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            edge = Edge(name, port, client)
            await until(lambda: edge.says(503))
            yield edge
    finally:
        docker("rm", "--force", name)
        docker("network", "rm", name)


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with running_edge() as edge:
        yield edge


def problem(answer: httpx.Response) -> dict[str, Any]:
    """Check the form of a refusal, and return its content."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= body.keys()
    assert body["status"] == answer.status_code
    if "retry-after" in answer.headers:
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
    return body


def refused(answer: httpx.Response) -> dict[str, Any]:
    """Check the form of a stream that is a refusal, and return the content of its event."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"
    retry, event, data, *rest = answer.text.split("\n")
    body: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert (retry, event, rest) == (f"retry: {body['retryMs']}", "event: refused", ["", ""])
    assert {"type", "title", "status", "detail", "code"} <= body.keys()
    return body


async def test_without_a_gateway_streams_are_held_and_then_told_when_to_come_back(edge: Edge) -> None:
    for path in ("/api/realtime/BTC", "/api/realtime?symbols=BTC,ETH"):
        begun_s = time.monotonic()
        told, plain = await asyncio.gather(edge.client.get(path, headers=EVENTS), edge.client.get(path))
        assert time.monotonic() - begun_s >= SHORTEST_HOLD_S
        body = refused(told)
        assert (body["status"], body["code"]) == (503, "no_gateway")
        assert 1000 <= body["retryMs"] < 4000
        assert (plain.status_code, problem(plain)["code"]) == (503, "no_gateway")
        assert int(plain.headers["retry-after"]) > 0
    for other in (edge.client.get("/api/ticker/BTC", headers=EVENTS), edge.client.get("/api/realtimes", headers=EVENTS)):
        assert problem(await other)["code"] == "no_gateway"
    assert (await edge.client.post("/api/realtime/BTC", headers=EVENTS)).status_code == 503


async def test_a_gateway_that_fails_or_goes(edge: Edge) -> None:
    async with edge.gateway():
        await until(lambda: streams(edge))
        assert refused(await edge.client.get("/api/realtime/breaks", headers=EVENTS))["status"] == 502
        assert problem(await edge.client.get("/api/realtime/breaks"))["status"] == 502
        cannot = await edge.client.get("/api/realtime/cannot", headers=EVENTS)
        assert (cannot.status_code, cannot.headers["content-type"]) == (501, "application/json"), (
            "the gateway's own response passes"
        )

    # The gateway is killed, and the edge has not noticed yet. An EventSource gets an event or is cut, after both of which it
    # retries, but never an error status.
    async def noticed() -> bool:
        with contextlib.suppress(httpx.RemoteProtocolError):
            refused(await edge.client.get("/api/realtime/BTC", headers=EVENTS))
        return await edge.says(503)

    await until(noticed)
    assert refused(await edge.client.get("/api/realtime/BTC", headers=EVENTS))["code"] == "no_gateway"
    async with edge.gateway():
        await until(lambda: streams(edge))


async def streams(edge: Edge) -> bool:
    answer = await edge.client.get("/api/realtime/BTC", headers=EVENTS)
    return answer.headers["content-type"] == "application/json"  # the played gateway's response


async def test_what_a_gateway_is_told(edge: Edge) -> None:
    async with edge.gateway():
        heard = (await edge.client.get("/echo", headers={"X-Market-Pulse-Edge": "a client's own word"})).json()
        assert [value for name, value in heard["headers"] if name.lower() == "x-market-pulse-edge"] == ["holds"]


@pytest.mark.parametrize(
    ("bound", "status", "code"),
    [("EDGE_MAX_REQUESTS_PER_IP", 429, "too_many_requests"), ("EDGE_MAX_REQUESTS_PER_S", 503, "busy")],
)
async def test_a_refused_stream_counts_as_a_request(bound: str, status: int, code: str) -> None:
    async with running_edge(**{bound: "30"}) as edge, edge.gateway():

        async def is_refused() -> bool:
            answers = await asyncio.gather(*(edge.client.get("/api/realtime/BTC", headers=EVENTS) for _ in range(60)))
            told = [refused(answer) for answer in answers if answer.headers["content-type"] == "text/event-stream"]
            assert {(one["status"], one["code"]) for one in told} <= {(status, code), (503, "no_gateway")}
            return code in {one["code"] for one in told}

        await until(is_refused)
        plain = await asyncio.gather(*(edge.client.get("/api/realtime/BTC") for _ in range(60)))
        assert {problem(answer)["code"] for answer in plain if answer.status_code == status} == {code}


@pytest.mark.parametrize(
    ("accept", "is_event_source"),
    [
        ("text/event-stream", True),
        ("application/json, Text/Event-Stream;q=0.5", True),
        ("text/event-stream;charset=utf-8", True),
        ("*/*", False),
        ("text/*", False),
        ("text/event-stream;q=0", False),
        ("text/event-stream; charset=utf-8; q=0.000", False),
        ("text/event-streams", False),
    ],
)
async def test_who_is_taken_for_an_event_source(edge: Edge, accept: str, is_event_source: bool) -> None:
    answer = await edge.client.get("/api/realtime/BTC", headers={"Accept": accept})
    assert (answer.status_code == 200) is is_event_source


async def test_what_does_not_pass_stays_a_status(edge: Edge) -> None:
    for answer in (
        await edge.client.request("GET", "/api/realtime/BTC", headers=EVENTS, content=b"x"),
        await edge.client.get(f"/api/realtime/{'X' * 5000}", headers=EVENTS),
        await edge.client.get("/api/realtime/BTC", headers=EVENTS | {f"X-{number}": "1" for number in range(150)}),
    ):
        assert problem(answer)["status"] in {413, 414, 431}


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"NONSENSE\r\n\r\n", id="no HTTP"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP 0.9"),
        pytest.param(b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n", id="a malformed header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", id="a long header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: never ends", id="half a request"),
    ],
)
async def test_what_is_no_request_is_closed_without_a_word(edge: Edge, request_bytes: bytes) -> None:
    """HAProxy could answer this only in HTML, which cannot be changed, so the edge closes the connection instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(request_bytes)
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b""
    writer.close()
