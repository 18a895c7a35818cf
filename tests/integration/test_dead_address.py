"""A host name whose first address does not answer, as with a broken IPv6 route: the second address is used at once.

Only the resolver is replaced. The dead address is a listening socket that accepts no more connections.
"""

import asyncio
import contextlib
import gc
import socket
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from ingest_okx.adapter import ADAPTER as OKX
from market_pulse.exchange.adapter import Listed
from market_pulse.exchange.feed import Feed
from market_pulse.exchange.rest import RestClient
from market_pulse.messages import Symbol, Tick
from market_pulse.process.dial import dialling, with_addresses
from simulator.app import serving
from simulator.settings import Settings
from support.redis_server import redis_server
from support.waiting import until
from support.whole_bus import WholeBus

NAME = "two-addresses.test"
DEAD, LIVING = "127.0.0.2", "127.0.0.1"

Resolver = Callable[..., list[tuple[Any, ...]]]
Scenario = Callable[[], Coroutine[Any, Any, None]]


@contextlib.contextmanager
def dead_address(port: int) -> Iterator[None]:
    """Make this port of the dead address leave connection attempts unanswered."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind((DEAD, port))
        listening.listen(0)
        while True:  # until the queue of pending connections is full
            queued = waiting.enter_context(socket.socket())
            queued.settimeout(0.3)
            try:
                queued.connect((DEAD, port))
            except TimeoutError:
                break
        yield


def resolve(host: Any, port: Any, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
    name = host.decode() if isinstance(host, bytes) else host
    addresses = (DEAD, LIVING) if name == NAME else (name,)
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, int(port or 0))) for address in addresses]


LOOPS = {"uvloop": uvloop.Loop, "asyncio": asyncio.SelectorEventLoop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], None]:
    """Return a function that runs a scenario on an event loop which resolves the name to two addresses."""

    def on_a_loop(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=with_addresses(LOOPS[request.param])) as runner:

            async def getaddrinfo(*args: Any, **options: Any) -> list[tuple[Any, ...]]:
                return resolve(*args, **options)

            monkeypatch.setattr(runner.get_loop(), "getaddrinfo", getaddrinfo)
            runner.run(scenario())

    return on_a_loop


def test_a_feed_uses_the_address_that_answers(run: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        async with serving(Settings(port=0)) as simulator:
            with dead_address(simulator.port):
                ticks: list[Tick] = []
                url = f"ws://{NAME}:{simulator.port}{OKX.ws_path}"
                feed = Feed(OKX, (url,), ticks.append, blocked_retry_s=1.0, max_age_s=None)
                feed.want({"BTC-USDT": Listed(Symbol("BTC-USDT"), "BTC-USDT", 1)})
                running = asyncio.create_task(feed.run())
                await until(lambda: ticks)
                assert feed.facts().reconnects == 0
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    run(scenario)


def test_rest_uses_the_address_that_answers(run: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        async with serving(Settings(port=0)) as simulator:
            with dead_address(simulator.port):
                async with RestClient(OKX, f"http://{NAME}:{simulator.port}") as rest:
                    assert await rest.listing()

    run(scenario)


def test_the_bus_uses_the_address_that_answers(run: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        async with redis_server() as server:
            with dead_address(server.port):
                async with WholeBus.open(f"redis://{NAME}:{server.port}/0") as bus:
                    await bus.ping()
                    await bus.publish_ticks([Tick(exchange="okx", symbol=Symbol("BTC-USDT"), price=1.0, received_time_ms=1)])
                    assert len(await bus.last_matching("ticks:*")) == 1

    run(scenario)


def test_a_name_none_of_whose_addresses_answers_is_given_up(run: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        with socket.socket() as unused:
            unused.bind((LIVING, 0))
            port = unused.getsockname()[1]
            async with RestClient(OKX, f"http://{NAME}:{port}") as rest:
                with pytest.raises(Exception, match="REST: ConnectError"):
                    await rest.listing()

    run(scenario)


def test_an_attempt_that_is_cancelled_leaves_no_socket(run: Callable[[Scenario], None]) -> None:
    """That holds at any moment: while it resolves, while it connects, and just after it has connected."""

    async def scenario() -> None:
        async with await asyncio.start_server(lambda _, writer: writer.close(), LIVING, 0) as server:
            port = server.sockets[0].getsockname()[1]
            loop = asyncio.get_running_loop()
            for steps in range(20):
                attempt = asyncio.create_task(loop.create_connection(asyncio.Protocol, LIVING, port, **dialling()))
                for _ in range(steps):
                    await asyncio.sleep(0)
                attempt.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    (await attempt)[0].abort()
            del attempt
            gc.collect()  # a socket that was left open causes a warning now, which fails the test

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run(scenario)
        gc.collect()
    assert [str(warning.message) for warning in told] == []
