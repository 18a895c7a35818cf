"""The doctor in unusual situations: each check reports its error, and no failing check prevents another."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from cli.doctor import _readiness, examine
from cli.output import Output
from market_pulse.messages import Symbol
from support.redis_server import redis_server
from support.waiting import free_port
from support.whole_bus import WholeBus

BTC = Symbol("BTC-USDT")
NO_BUS = f"redis://127.0.0.1:{free_port()}"
OTHER_STATUS = b'{"status":"up"}'


@contextlib.asynccontextmanager
async def other_server(status: bytes = OTHER_STATUS, events: bytes = b"") -> AsyncIterator[str]:
    """Answer all requests with 200: streams with these events, all others with this body."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        kind, body = (b"text/event-stream", events) if b"/realtime/" in request else (b"application/json", status)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nConnection: close\r\n\r\n%b" % (kind, body))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(OTHER_STATUS, id="another service"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"exchanges":{"okx":{}},"gateway":{}}', id="half of a status"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b'"\xff"', id="no text"),
    ],
)
async def test_what_is_no_gateway_is_said_to_be_none(status: bytes, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    async with other_server(status) as url:
        found = await examined(url, NO_BUS, capsysbinary)
    assert found["gateway"] == ("wrong", f"{url}: not the answer of a Market Pulse gateway")
    assert {"stream", "bus"} <= found.keys()


async def test_symbols_without_room_are_noted(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    feed = {
        "state": "connected",
        "reason": None,
        "since": 1,
        "symbols": 200,
        "lastTickTime": 1,
        "reconnects": 0,
        "instance": "a",
    }
    gateway = {"time": 1, "instance": "g", "uptimeS": 1.0, "streams": 0, "symbols": [], "busConnected": True, "resyncs": 0}
    feeds = {name: feed | {"exchange": name, "turnedAwayCount": count} for name, count in (("okx", 44), ("bybit", 0))}
    feeds["binance"] = feed | {"exchange": "binance"}
    async with other_server(orjson.dumps({"simulated": True, "exchanges": feeds, "gateway": gateway})) as url:
        found = await examined(url, NO_BUS, capsysbinary)
    assert found["room at okx"] == ("note", "44 requested symbols have no room (MAX_SYMBOLS)")
    assert found.keys() & {"room at bybit", "room at binance"} == set()


@pytest.mark.parametrize("event", [b"hello", b'{"type":"ticker"}', b"7"])
async def test_an_event_that_is_no_message_is_shown(event: bytes, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    async with other_server(events=b"data: " + event + b"\n\n") as url:
        found = await examined(url, NO_BUS, capsysbinary)
    assert found["stream"] == ("wrong", f"an event is not a gateway's message: {event.decode()}")
    assert {"gateway", "bus"} <= found.keys()


async def test_a_bus_that_nobody_named_may_be_away(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    async with other_server() as url:
        named = await examined(url, NO_BUS, capsysbinary)
        unnamed = await examined(url, NO_BUS, capsysbinary, bus_named=False)
    assert (named["bus"][0], unnamed["bus"][0]) == ("wrong", "note")
    assert "--redis" in unnamed["bus"][1]


@pytest.mark.parametrize(
    ("command", "right"),
    [
        ("subscribe", "right to subscribe"),
        ("mget", "right to read last values"),
        ("pubsub", "right to see what is asked for"),
        ("scan", "right to read listings"),
    ],
)
async def test_a_right_that_is_refused_is_wrong(command: str, right: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    async with redis_server() as server, WholeBus.open(server.url) as bus, other_server() as url:
        client: Any = bus.client
        await client.execute_command("ACL", "SETUSER", "lesser", "on", ">word", "~*", "&*", "+@all", f"-{command}")
        found = await examined(url, server.url.replace("://", "://lesser:word@"), capsysbinary)
    rights = {check: result for check, (result, _) in found.items() if check.startswith("right")}
    assert rights == dict.fromkeys(rights, "ok") | {right: "wrong"}
    assert len(rights) == 4
    assert "NoPermission" in found[right][1]


@pytest.mark.parametrize(
    ("redis_url", "said"),
    [
        ("unix://:secret@/no/such/socket", "/no/such/socket"),
        ("unix://reader:secret@/no/such/socket?db=1", "/no/such/socket"),
        pytest.param(NO_BUS.replace("://", "://reader:secret@"), "127.0.0.1", id="of another user"),
        ("redis+sentinel://:secret@127.0.0.1:1,127.0.0.1:2/bus/0?sentinel_password=secret", "127.0.0.1"),
        pytest.param("redis://:sec/ret@127.0.0.1", "%2F", id="a slash that is not written as %2F"),
        pytest.param("redis://:secret@[127.0.0.1", "REDIS_URL", id="no URL"),
    ],
)
async def test_no_password_is_shown(redis_url: str, said: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    async with other_server() as url:
        found = await examined(url, redis_url, capsysbinary)
    result, saw = found["bus"]
    assert result == "wrong"
    assert said in saw
    assert not any(part in saw for part in ("sec", "ret@"))


async def examined(
    url: str, redis_url: str, capsys: pytest.CaptureFixture[bytes], *, bus_named: bool = True
) -> dict[str, tuple[str, str]]:
    """Run the doctor, and return each check's result and finding."""
    await examine(url, redis_url, BTC, Output(json=True), bus_named=bus_named, ask_exchanges=False)
    found = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {finding["check"]: (finding["result"], finding["saw"]) for finding in found}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "DNS does not know"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "DNS does not answer for"),
        (TimeoutError(), "DNS does not answer"),
    ],
)
async def test_a_dns_that_does_not_answer_has_not_said_no(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    await examine("http://127.0.0.1:1", NO_BUS, BTC, Output(json=True), bus_named=False, ask_exchanges=True)
    found = [orjson.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [one["saw"].startswith(said) for one in found if one["check"] == "okx"] == [True]


async def test_a_bus_that_nobody_named_but_that_refuses_is_there(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A server that refuses the user does exist. Only if no server listens, there is no bus."""
    port = free_port()
    async with redis_server(port, "--requirepass", "word", url=f"redis://:word@127.0.0.1:{port}"), other_server() as url:
        found = await examined(url, f"redis://127.0.0.1:{port}", capsysbinary, bus_named=False)
    assert found["bus"][0] == "wrong"


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        (True, "no exchange delivers, so there are no live prices"),
        (False, "not known: the gateway is not connected to the bus"),
    ],
)
async def test_a_gateway_that_hears_no_bus_cannot_say_how_exchanges_are(
    heard: bool, said: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    gateway = {"time": 0, "instance": "g", "streams": 0, "symbols": [], "busConnected": heard, "resyncs": 0}
    async with other_server(orjson.dumps({"exchanges": {}, "gateway": gateway})) as url:
        found = await examined(url, NO_BUS, capsysbinary)
    assert found["feeds"] == ("wrong", said)


@pytest.mark.parametrize(("status", "said"), [(503, "not ready: "), (429, "its readiness is unknown: HTTP 429")])
def test_only_a_gateway_says_that_it_is_not_ready(status: int, said: str) -> None:
    request = httpx.Request("GET", "http://gateway/readyz")
    assert said in _readiness("http://gateway", httpx.Response(status, text="wait", request=request), 1)[1]
