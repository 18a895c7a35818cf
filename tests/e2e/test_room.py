"""More symbols are requested than the ingests may carry: visitors get fair shares, and learn why a symbol does not come.

All parts run as processes with MAX_SYMBOLS=12: eight symbols beside the featured ones, three of them for one address. Visitors
differ by their loopback address.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from market_pulse import kinds
from market_pulse.process.clock import now_ms
from simulator import catalogue
from support.contract import held_against_contract
from support.stack import EXCHANGES, Events, Stack, events, running_stack
from support.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

MAX_SYMBOLS, FEATURED, SHARE = 12, 4, 3
COINS = list(catalogue.coins())[FEATURED:64]
LATE = COINS.pop(
    MAX_SYMBOLS - FEATURED
)  # all exchanges list it, and no other test asks for it: it has no price left from before
CROWD = COINS
NEWCOMER = "ZRX"  # the last by the alphabet, and not among the crowd's symbols
GRACE_S = 45  # longer than any wait here, so that no step passes only because the grace period is over


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    small = {"MAX_SYMBOLS": str(MAX_SYMBOLS), "SYMBOL_GRACE_S": str(GRACE_S), "DRAIN_S": "0.3"}
    async with running_stack(tmp_path_factory.mktemp("logs"), **small) as running:
        async with held_against_contract(running.bus) as contract:
            yield running
        assert contract.problems == []


def batched(names: list[str], size: int) -> list[list[str]]:
    return [names[at : at + size] for at in range(0, len(names), size)]


class Visitor:
    """A visitor with an IP address of their own."""

    def __init__(self, stack: Stack, number: int) -> None:
        transport = httpx.AsyncHTTPTransport(local_address=f"127.0.0.{number}")
        self.http = httpx.AsyncClient(base_url=stack.http.base_url, timeout=PATIENCE_S, transport=transport)


@contextlib.asynccontextmanager
async def visitor(stack: Stack, number: int) -> AsyncIterator[Visitor]:
    one = Visitor(stack, number)
    try:
        yield one
    finally:
        await one.http.aclose()


@contextlib.asynccontextmanager
async def watching(someone: Visitor, *symbols: str) -> AsyncIterator[Events]:
    async with events(someone, f"/api/realtime?symbols={','.join(symbols)}") as stream:
        assert (await stream.next())["type"] == "connected"
        yield stream


async def room_of(stream: Events, symbol: str, where: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the next event about a symbol's room that meets a condition."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = await stream.next()
            if message["type"] == "room" and message["data"]["symbol"] == symbol and where(message["data"]):
                data: dict[str, Any] = message["data"]
                return data


async def gateway_status(stack: Stack) -> dict[str, Any]:
    answer: dict[str, Any] = (await stack.http.get("/api/status")).json()
    return answer


async def is_short(stack: Stack) -> bool:
    return bool((await gateway_status(stack))["gateway"]["roomIsShort"])


async def carried(stack: Stack) -> set[str]:
    """Return the symbols for which Redis has a last tick of any exchange."""
    found = await stack.bus.last_matching(kinds.TICK.pattern)
    return {channel.rpartition(":")[2] for channel, _ in found}


async def test_closed_requests_for_everything_lock_nobody_out(stack: Stack) -> None:
    async with visitor(stack, 2) as attacker, visitor(stack, 3) as newcomer:
        for names in batched(CROWD, 5):
            async with watching(attacker, *names):
                pass
        await until(lambda: _is_full(stack))
        async with watching(newcomer, NEWCOMER) as stream:
            await stream.ticker(lambda ticker: ticker["price"] is not None)
        answer = await newcomer.http.get(f"/api/ticker/{CROWD[-1]}")
        assert answer.status_code == 200, answer.text


async def _is_full(stack: Stack) -> bool:
    return len(await carried(stack)) >= MAX_SYMBOLS


async def test_open_streams_of_everything_lock_nobody_out(stack: Stack) -> None:
    async with visitor(stack, 12) as attacker, visitor(stack, 13) as newcomer, contextlib.AsyncExitStack() as held:
        streams = [await held.enter_async_context(watching(attacker, *names)) for names in batched(CROWD, 5)]
        await until(lambda: is_short(stack))
        async with watching(newcomer, NEWCOMER) as stream:
            await stream.ticker(lambda ticker: ticker["price"] is not None)
            told = await room_of(streams[-1], f"{CROWD[-1]}-USDT", lambda room: not room["room"])
            assert (told["reason"], told["exchanges"]) == ("share", [])
            assert f"one address gets {SHARE} symbols" in told["detail"]

            status = await gateway_status(stack)
            assert status["gateway"]["beyondShare"] == len(CROWD) - SHARE
            assert len(status["gateway"]["symbols"]) <= FEATURED + SHARE + 1
            refused = await attacker.http.get("/api/ticker/MANA")
            problem = refused.json()
            assert (refused.status_code, problem["code"], problem["reason"], problem["symbol"]) == (
                429,
                "no_room",
                "share",
                "MANA-USDT",
            )
            assert refused.headers["retry-after"] == "5"
            many = (await attacker.http.get("/api/ticker?symbols=BTC,MANA")).json()
            assert [ticker["symbol"] for ticker in many["tickers"]] == ["BTC-USDT"]
            assert (many["missing"], many["noRoom"]) == (["MANA-USDT"], {"MANA-USDT": "share"})
            assert (await newcomer.http.get("/api/ticker/MANA")).status_code == 200, "another address has a share of its own"


async def test_who_holds_all_the_room_and_no_more_gives_way(stack: Stack) -> None:
    """A visitor may use all the room until another one comes."""
    mine = CROWD[: MAX_SYMBOLS - FEATURED]
    async with (
        visitor(stack, 14) as holder,
        visitor(stack, 15) as newcomer,
        watching(holder, *mine) as held,
        watching(newcomer, NEWCOMER) as stream,
    ):
        await stream.ticker(lambda ticker: ticker["price"] is not None)
        told = await room_of(held, f"{mine[SHARE]}-USDT", lambda room: not room["room"])
        assert told["reason"] == "share"
        still = {f"{name}-USDT" for name in mine[:SHARE]}
        assert still <= set((await gateway_status(stack))["gateway"]["symbols"]), "the symbols that were requested first stay"


async def test_a_symbol_without_room_says_so_and_comes_by_itself(stack: Stack) -> None:
    wanted = CROWD[: MAX_SYMBOLS - FEATURED]  # all exchanges list each of them
    async with contextlib.AsyncExitStack() as others:
        parties = []
        for number, names in enumerate(batched(wanted, SHARE - 1)):
            one = await others.enter_async_context(visitor(stack, 20 + number))
            parties.append(await others.enter_async_context(watching(one, *names)))
            for name in names:
                await parties[-1].ticker(
                    lambda ticker, name=name: ticker["symbol"] == f"{name}-USDT" and ticker["sourcesUsed"] == len(EXCHANGES)
                )
        async with visitor(stack, 30) as late:
            symbol = f"{LATE}-USDT"
            async with watching(late, LATE) as stream:
                told = await room_of(stream, symbol, lambda room: set(room["exchanges"]) == set(EXCHANGES))
                assert (told["room"], told["reason"]) == (False, "full")
                assert "MAX_SYMBOLS" in told["detail"]

                refused = await late.http.get(f"/api/ticker/{symbol}")
                assert (refused.status_code, refused.json()["code"], refused.json()["reason"]) == (503, "no_room", "full")
                status = await gateway_status(stack)
                for exchange in status["exchanges"].values():
                    assert (exchange["turnedAway"], exchange["turnedAwayCount"]) == ([symbol], 1)
                featured = (await late.http.get("/api/ticker?symbols=BTC,ETH,SOL,BNB")).json()
                assert [ticker["quality"] for ticker in featured["tickers"]] == ["ok"] * FEATURED

                await others.aclose()
                await room_of(stream, symbol, lambda room: room["room"])
                await stream.ticker(lambda ticker: ticker["price"] is not None)


async def test_a_list_of_everything_that_is_scrolled_by_starves_nobody(stack: Stack) -> None:
    async with visitor(stack, 40) as reader, visitor(stack, 41) as scroller, watching(reader, NEWCOMER) as stream:
        await stream.ticker(lambda ticker: ticker["price"] is not None)
        for names in batched(CROWD, SHARE):
            async with watching(scroller, *names):
                await asyncio.sleep(0.2)
        async with watching(scroller, *names) as shown:
            for name in names:
                await shown.ticker(lambda ticker, name=name: ticker["symbol"] == f"{name}-USDT" and ticker["price"])
        scrolled_ms = now_ms()
        await stream.ticker(lambda ticker: ticker["aggregatedTime"] > scrolled_ms and ticker["quality"] == "ok")
