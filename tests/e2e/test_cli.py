"""The command line, as a process, on the running system."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from market_pulse.messages import decode_tick
from support.redis_server import redis_server
from support.stack import EXCHANGES, Stack, running_stack
from support.waiting import PATIENCE_S, free_port, until
from support.whole_bus import WholeBus

BUFFER_S = 2.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: Any) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("logs")) as running:
        yield running


class Ended:
    """The exit code and the output of a command that has ended."""

    def __init__(self, code: int, output: bytes, errors: bytes) -> None:
        self.code, self.text, self.errors = code, output.decode(), errors.decode()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.text.splitlines()]


async def run(*arguments: str, interrupt_when: Callable[[], Awaitable[bool]] | None = None) -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        if interrupt_when is not None:
            await until(interrupt_when)
            await asyncio.sleep(1)  # until the first prices are drawn
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(2 * PATIENCE_S):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    assert b"Traceback" not in errors, errors.decode()
    return Ended(process.returncode, output, errors)


async def has_stream(stack: Stack) -> bool:
    return int((await stack.http.get("/api/status")).json()["gateway"]["streams"]) > 0


def gateway(stack: Stack) -> tuple[str, str]:
    return "--url", str(stack.http.base_url)


def bus(stack: Stack) -> tuple[str, str]:
    return "--redis", stack.reader_url


async def test_status(stack: Stack) -> None:
    for_people = await run("status", *gateway(stack))
    assert for_people.code == 0
    assert all(exchange in for_people.text for exchange in EXCHANGES)
    (status,) = (await run("status", "--json", *gateway(stack))).objects
    assert status["exchanges"].keys() == set(EXCHANGES)
    nobody = await run("status", "--url", f"http://127.0.0.1:{free_port()}")
    assert (nobody.code, nobody.text) == (1, "")
    assert "connection attempts failed" in nobody.errors


async def test_watch_from_either_side(stack: Stack) -> None:
    for source in (gateway(stack), bus(stack)):
        seen = (await run("watch", "btc", "ETH", "--json", "--seconds", "3", *source)).objects
        tickers = [message["data"] for message in seen if message["type"] == "ticker"]
        assert {ticker["symbol"] for ticker in tickers} == {"BTC-USDT", "ETH-USDT"}
        assert all(ticker["quality"] == "ok" for ticker in tickers)
    table = await run("watch", "BTC", *gateway(stack), interrupt_when=lambda: has_stream(stack))
    assert table.code == 130
    assert "● ok" in table.text


async def test_nonsense_is_refused(stack: Stack) -> None:
    refused = await run("watch", "B!C", *gateway(stack))
    assert (refused.code, refused.text) == (2, "")
    assert "is not a symbol" in refused.errors
    unknown = await run("watch", "NOSUCHCOIN", "--json", *gateway(stack))
    assert unknown.code == 1
    assert "404" in unknown.errors
    unlisted = await run("watch", "NOSUCHCOIN", "--json", *bus(stack))
    assert (unlisted.code, unlisted.text) == (1, "")
    assert "lists NOSUCHCOIN-USDT" in unlisted.errors


async def test_tail(stack: Stack) -> None:
    heard = (await run("tail", "ticks:okx:*", "--json", "--seconds", "3", *bus(stack))).objects
    assert {one["message"]["exchange"] for one in heard} == {"okx"}
    assert all(one["channel"] == f"ticks:okx:{one['message']['symbol']}" for one in heard)
    assert "ticker:BTC-USDT {" in (await run("tail", "ticker:BTC-USDT", "--seconds", "3", *bus(stack))).text


async def test_all_prices_add_up(stack: Stack) -> None:
    checked = await run("verify", "--seconds", "4", "--json", *bus(stack))
    assert checked.code == 0, checked.text
    (summary,) = checked.objects
    assert summary["tickers"] > 20
    assert summary["wrong"] == summary["unreadable"] == 0


async def test_a_forged_price_is_found(stack: Stack) -> None:
    (data,) = await stack.bus.last("ticker:BTC-USDT")
    assert data is not None
    ticker = orjson.loads(data)
    forged = orjson.dumps(ticker | {"price": ticker["price"] * 1.01, "seq": ticker["seq"] + 1_000_000, "symbol": "FORGED-USDT"})
    checking = asyncio.create_task(run("verify", "--seconds", "4", *bus(stack)))
    while not checking.done():
        await stack.bus.client.publish("ticker:FORGED-USDT", forged)
        await asyncio.sleep(0.2)
    checked = await checking
    assert checked.code == 1
    assert "FORGED-USDT" in checked.text


async def test_a_recording_plays_again_somewhere_else(stack: Stack, tmp_path: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    recorded = await run("record", str(tape), "--seconds", "4", "--json", *bus(stack))
    assert recorded.code == 0
    recorded_ms = await stack.bus.time_ms()
    assert (await run("record", str(tape), *bus(stack))).code == 1, "an existing file is never overwritten"
    async with redis_server() as other, WholeBus.open(other.url) as played:
        played_again = await run("replay", str(tape), "--into", other.url, "--speed", "4", "--json")
        assert played_again.code == 0
        assert played_again.objects[0]["messages"] == recorded.objects[0]["messages"]
        assert (await played.listings()).keys() == set(EXCHANGES)
        (data,) = await played.last("ticks:okx:BTC-USDT")
        assert data is not None
        (original,) = await stack.bus.last("ticks:okx:BTC-USDT")
        assert original is not None
        assert recorded_ms < decode_tick(data).received_time_ms <= await played.time_ms(), "the times are moved to now"
    not_a_tape = tmp_path / "other.jsonl"
    not_a_tape.write_text('{"a": 1}\n')
    assert (await run("replay", str(not_a_tape), "--into", stack.server.url)).code == 1


async def test_the_doctor_finds_nothing_wrong(stack: Stack) -> None:
    examined = await examined_until_well(*gateway(stack), *bus(stack))
    assert {"gateway", "stream", "bus"} <= {finding["check"] for finding in examined.objects}


async def examined_until_well(*places: str) -> Ended:
    """Run the doctor until it finds nothing wrong. On a busy machine answers may really be late for a while."""
    examinations: list[Ended] = []

    async def is_well() -> bool:
        examinations.append(await run("doctor", "--offline", "--json", *places))
        return examinations[-1].code == 0

    with contextlib.suppress(TimeoutError):
        await until(is_well, 3 * PATIENCE_S)
    assert examinations[-1].code == 0, examinations[-1].text
    return examinations[-1]


async def test_the_doctor_needs_no_bus(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    await examined_until_well(*gateway(stack))
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    assert (await run("doctor", "--offline", *gateway(stack))).code == 1


async def test_the_doctor_names_a_proxy_that_buffers(stack: Stack) -> None:
    async with buffering_proxy(stack.http.base_url.port or 80) as url:
        examined = await run("doctor", "--offline", "--json", "--url", url, *bus(stack))
    assert examined.code == 1
    (stream,) = [finding for finding in examined.objects if finding["check"] == "stream"]
    assert stream["result"] == "wrong"
    assert "buffers" in stream["saw"]


@pytest.mark.parametrize("source", ["--redis=redis", "--url=http"])
async def test_a_watcher_is_told_at_once_what_is_away(source: str) -> None:
    watching = await run("watch", "BTC", "--json", f"{source}://127.0.0.1:{free_port()}")
    assert (watching.code, watching.text) == (1, "")
    assert "market-pulse: " in watching.errors


async def test_the_doctor_names_what_is_away() -> None:
    away = f"127.0.0.1:{free_port()}"
    examined = await run("doctor", "--offline", "--json", "--url", f"http://{away}", "--redis", f"redis://{away}")
    assert examined.code == 1
    assert {"gateway", "stream", "bus"} == {finding["check"] for finding in examined.objects if finding["result"] == "wrong"}


@contextlib.asynccontextmanager
async def buffering_proxy(port: int) -> AsyncIterator[str]:
    """Run a proxy that forwards the server's data only every BUFFER_S; yield its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)

        async def forward() -> None:
            while data := await reader.read(65536):
                to_server.write(data)

        async def hold_back() -> None:
            while data := await from_server.read(65536):
                writer.write(data)
                if b"text/event-stream" in data or not data.startswith(b"HTTP/1.1"):
                    await asyncio.sleep(BUFFER_S)

        sides = [asyncio.create_task(forward()), asyncio.create_task(hold_back())]
        try:
            await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for side in sides:
                side.cancel()
            await asyncio.gather(*sides, return_exceptions=True)
            to_server.close()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
