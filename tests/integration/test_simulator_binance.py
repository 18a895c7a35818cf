"""The simulator's Binance on real sockets: answers, envelopes, limits, keep-alive and closes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulator.app import Running, serving
from simulator.settings import Settings
from support.lively import lively

WITHIN_S = 10.0


@pytest.fixture
async def simulator() -> AsyncIterator[Running]:
    async with lively() as running:
        yield running


def url(running: Running, path: str) -> str:
    return f"ws://127.0.0.1:{running.port}{path}"


async def receive(socket: ClientConnection) -> Any:
    async with asyncio.timeout(WITHIN_S):
        return json.loads(await socket.recv())


async def ask(socket: ClientConnection, **request: Any) -> Any:
    """Send a request and return its answer. Data messages in between are skipped."""
    await socket.send(json.dumps(request))
    while True:
        message = await receive(socket)
        if "stream" not in message and "s" not in message and "e" not in message:
            return message


async def closing(socket: ClientConnection) -> ConnectionClosed:
    """Read until the connection ends, and return the exception of its end."""
    async with asyncio.timeout(WITHIN_S):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed


async def test_control_messages_are_answered(simulator: Running) -> None:
    async with connect(url(simulator, "/stream")) as socket:
        assert socket.response is not None
        assert socket.response.headers["Server"] == "market-pulse-simulator"
        params = ["btcusdt@ticker", "nopeusdt@ticker", "BTCUSDT@ticker"]
        assert await ask(socket, method="SUBSCRIBE", params=params, id=1) == {"result": None, "id": 1}
        assert await ask(socket, method="LIST_SUBSCRIPTIONS", id="a1") == {"result": params, "id": "a1"}
        assert await ask(socket, method="UNSUBSCRIBE", params=params[:1], id=-5) == {"result": None, "id": -5}
        assert await ask(socket, method="GET_PROPERTY", params=["combined"], id=2) == {"result": True, "id": 2}
    async with connect(url(simulator, "/ws")) as socket:
        assert await ask(socket, method="GET_PROPERTY", params=["combined"], id=3) == {"result": False, "id": 3}
        assert await ask(socket, method="SET_PROPERTY", params=["combined", True], id=None) == {"result": None, "id": None}
        await ask(socket, method="SUBSCRIBE", params=["btcusdt@bookTicker"], id=4)
        assert set(await receive(socket)) == {"stream", "data"}


@pytest.mark.parametrize(
    ("path", "wrapped"),
    [
        ("/ws/btcusdt@bookTicker", False),
        ("/ws/btcusdt@bookTicker/ethusdt@bookTicker", False),
        ("/stream?streams=btcusdt@bookTicker", True),
        ("/stream?streams=btcusdt@bookTicker/ethusdt@trade", True),
    ],
)
async def test_streams_named_in_the_url(simulator: Running, path: str, wrapped: bool) -> None:
    async with connect(url(simulator, path)) as socket:
        for _ in range(5):
            assert ("stream" in await receive(socket)) is wrapped


async def test_a_stream_that_does_not_exist_is_acked_and_silent(simulator: Running) -> None:
    async with connect(url(simulator, "/stream")) as socket:
        await ask(socket, method="SUBSCRIBE", params=["BTCUSDT@trade", "nopeusdt@trade", "btcusdt@nope"], id=1)
        await ask(socket, method="SUBSCRIBE", params=["ethusdt@trade"], id=2)
        for _ in range(20):
            assert (await receive(socket))["stream"] == "ethusdt@trade"


@pytest.mark.parametrize(
    ("request_text", "error"),
    [
        pytest.param("{nope", {"code": 3, "msg": "Invalid JSON: "}, id="no JSON"),
        pytest.param('{"method":"SUB","id":4}', {"code": 2, "msg": "Invalid request: unknown variant `SUB`, "}, id="method"),
        pytest.param('{"id":4}', {"code": 2, "msg": "Invalid request: missing field `method`"}, id="no method"),
        pytest.param('{"method":"SUBSCRIBE","params":["a"],"id":1.5}', {"code": 2, "msg": "Invalid request: req"}, id="id"),
        pytest.param('{"method":"GET_PROPERTY","params":["x"],"id":4}', {"code": 0, "msg": "Unknown property"}, id="name"),
        pytest.param(
            '{"method":"SET_PROPERTY","params":["combined",1],"id":4}',
            {"code": 1, "msg": "Invalid value type: expected Boolean"},
            id="value",
        ),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
async def test_errors_nested_and_flat(simulator: Running, request_text: str, error: dict[str, Any], nested: bool) -> None:
    fault = {"exchange": "binance", "kind": "nested_errors", "on": nested}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}") as http:
        (await http.post("/control/faults", json=fault)).raise_for_status()
    async with connect(url(simulator, "/stream")) as socket:
        await socket.send(request_text)
        answer = await receive(socket)
    found = answer["error"] if nested else answer
    assert found["code"] == error["code"]
    assert found["msg"].startswith(error["msg"])
    if '"id":4' in request_text:
        assert answer["id"] == 4


async def test_more_than_five_frames_a_second_are_too_many(simulator: Running) -> None:
    async with connect(url(simulator, "/stream")) as socket:
        for number in range(5):
            await ask(socket, method="LIST_SUBSCRIPTIONS", id=number)
        await socket.ping()
        closed = await closing(socket)
    assert closed.rcvd is not None
    assert (closed.rcvd.code, closed.rcvd.reason) == (1008, "Too many requests")


async def test_more_than_1024_streams_are_too_many(simulator: Running) -> None:
    names = [f"s{number}@trade" for number in range(1025)]
    async with connect(url(simulator, "/stream")) as socket:
        refused = await ask(socket, method="SUBSCRIBE", params=names, id=19)
        assert refused == {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 19}
        assert (await ask(socket, method="SUBSCRIBE", params=names[:1024], id=20))["result"] is None


async def test_malformed_stream_url_fails_the_handshake(simulator: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(url(simulator, "/stream?streams=btcusdt@trade//x")).__aenter__()
    assert refused.value.response.status_code == 400


async def test_server_shutdown_is_announced_in_the_right_shape(simulator: Running) -> None:
    async with connect(url(simulator, "/stream")) as combined, connect(url(simulator, "/ws")) as raw:
        await ask(combined, method="LIST_SUBSCRIPTIONS", id=1)
        await ask(raw, method="LIST_SUBSCRIPTIONS", id=1)
        fault = {"exchange": "binance", "kind": "server_shutdown", "close_after_s": 0.1}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}") as http:
            (await http.post("/control/faults", json=fault)).raise_for_status()
        wrapped, bare = await receive(combined), await receive(raw)
        assert wrapped["stream"] == "!serverShutdown"
        assert set(bare) == {"e", "E"}
        assert wrapped["data"]["e"] == bare["e"] == "serverShutdown"
        await closing(combined)
        await closing(raw)


async def test_an_old_connection_is_closed() -> None:
    async with serving(Settings(port=0, binance_max_age_s=0.2)) as running, connect(url(running, "/ws")) as socket:
        await closing(socket)


async def test_pongs_keep_a_connection_and_their_absence_ends_it() -> None:
    settings = Settings(port=0, rate=0.0, binance_ping_every_s=0.3, binance_pong_within_s=0.5)
    async with serving(settings) as running, connect(url(running, "/ws")) as answering:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        async with asyncio.timeout(WITHIN_S):
            await reader.readuntil(b"\r\n\r\n")
            received = await reader.read()  # until the end
        writer.close()
        await writer.wait_closed()
        assert received[:1] == b"\x89"  # a ping
        assert received[1] == len(b"1700000000000")  # with a payload
        assert b"Pong timeout" in received
        assert (await ask(answering, method="LIST_SUBSCRIPTIONS", id=1))["result"] == []


async def test_rest(simulator: Running) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}/api/v3") as http:
        trading = (await http.get("/exchangeInfo", params={"symbolStatus": "TRADING"})).json()["symbols"]
        assert len(trading) >= 300
        assert {symbol["status"] for symbol in trading} == {"TRADING"}
        everything = (await http.get("/exchangeInfo")).json()["symbols"]
        assert {symbol["status"] for symbol in everything} == {"TRADING", "BREAK", "HALT"}
        two = (await http.get("/ticker/24hr", params={"symbols": '["BTCUSDT","ETHUSDT"]', "type": "MINI"})).json()
        assert [row["symbol"] for row in two] == ["BTCUSDT", "ETHUSDT"]
        assert "bidPrice" not in two[0]
        assert len((await http.get("/ticker/24hr")).json()) == len(everything)
        unknown = await http.get("/exchangeInfo", params={"symbols": '["BTCUSDT","NOPE"]'})
        assert (unknown.status_code, unknown.json()) == (400, {"code": -1121, "msg": "Invalid symbol."})
        best = (await http.get("/ticker/bookTicker", params={"symbol": "BTCUSDT"})).json()
        assert float(best["bidPrice"]) < float(best["askPrice"])
        book = (await http.get("/depth", params={"symbol": "BTCUSDT", "limit": "20"})).json()
        assert len(book["bids"]) == len(book["asks"]) == 20
        assert (await http.get("/ping")).json() == {}
        assert isinstance((await http.get("/time")).json()["serverTime"], int)
