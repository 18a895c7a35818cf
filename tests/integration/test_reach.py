"""Which exchanges the doctor finds to serve this place, on simulators that refuse it, and the quality that this gives."""

import asyncio
from dataclasses import replace

import pytest

from cli import doctor
from cli.doctor import Finding
from cli.reach import quality_of, reach
from ingest_binance.adapter import ADAPTER as BINANCE
from ingest_kraken.adapter import ADAPTER as KRAKEN
from ingest_okx.adapter import ADAPTER as OKX
from market_pulse.conversions import DEFAULT_CONVERSIONS, Conversions
from market_pulse.exchange.adapter import Adapter
from market_pulse.messages import Symbol
from market_pulse.process.way_out import STRAIGHT
from simulator.app import Running, serving
from simulator.faults import read_fault
from simulator.settings import Settings
from support.waiting import free_port

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USD")
NAMES = ("127.0.0.1", "localhost")


def at(adapter: Adapter, *ports: int) -> Adapter:
    """Return an adapter whose addresses are these ports of this machine, each with another host name."""
    hosts = [f"{name}:{port}" for name, port in zip(NAMES, ports, strict=False)]
    return replace(
        adapter,
        rest_urls=tuple(f"http://{host}" for host in hosts),
        ws_urls=tuple(f"ws://{host}{adapter.ws_path}" for host in hosts),
    )


def refuse(simulator: Running, exchange: str) -> None:
    simulator.engine.inject(read_fault(b'{"exchange": "%b", "kind": "refuse", "status": 451}' % exchange.encode()))


@pytest.mark.parametrize("adapter", [BINANCE, KRAKEN, OKX])
async def test_the_first_host_that_serves_this_place_is_named(adapter: Adapter) -> None:
    async with serving(Settings(port=0)) as refusing, serving(Settings(port=0, host="localhost")) as willing:
        refuse(refusing, adapter.exchange)
        found = await reach(at(adapter, refusing.port, willing.port), STRAIGHT)
        assert found.delivers
        assert found.said.startswith("localhost answers in ")
        assert found.said.endswith(" ms, and localhost opens a stream")
        assert BTC in found.listed
        assert found.failures == ("127.0.0.1 does not serve this country or address (HTTP 451)",)


async def test_an_exchange_that_refuses_everywhere_is_left_out() -> None:
    async with serving(Settings(port=0)) as simulator:
        refuse(simulator, "binance")
        found = await reach(at(BINANCE, simulator.port), STRAIGHT)
    assert not found.delivers
    assert found.said == "127.0.0.1 does not serve this country or address (HTTP 451): prices are made without it"


async def test_an_exchange_that_is_away_is_left_out() -> None:
    found = await reach(at(BINANCE, free_port()), STRAIGHT)
    assert not found.delivers
    assert found.said.startswith("127.0.0.1 cannot be reached: ")


async def test_the_quality_from_here_counts_the_exchanges_that_serve_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Installed:
        def __init__(self, adapter: Adapter) -> None:
            self.load = lambda: adapter

    async with serving(Settings(port=0)) as simulator:
        refuse(simulator, "binance")
        adapters = [at(adapter, simulator.port) for adapter in (BINANCE, KRAKEN, OKX)]
        monkeypatch.setattr(doctor, "entry_points", lambda **_: [Installed(adapter) for adapter in adapters])
        found: list[Finding] = []
        async with asyncio.timeout(30):
            async for findings in doctor._exchanges((BTC, ETH, Symbol("NOPE-USDT")), DEFAULT_CONVERSIONS):
                found += findings
    results = {finding.check: (finding.result, finding.saw) for finding in found}
    assert {results[name][0] for name in ("kraken", "okx", "okx's clock")} == {"ok"}
    assert results["binance"][0] == "note"
    assert results["BTC-USDT from here"] == ("ok", "quality ok, made of kraken, okx")
    assert results["ETH-USD from here"] == ("ok", "quality ok, made of kraken, okx")
    assert results["NOPE-USDT from here"] == ("note", "quality down: no exchange that serves this place can price it")


BOTH = {"BTC-USD", "BTC-USDT", "USDT-USD"}


@pytest.mark.parametrize(
    ("symbol", "listings", "conversions", "expected"),
    [
        pytest.param("BTC-USDT", {"a": {"BTC-USDT"}, "b": {"BTC-USDT"}}, True, ("ok", ["a", "b"]), id="two"),
        pytest.param("BTC-USDT", {"a": {"BTC-USDT"}, "b": BOTH - {"BTC-USDT"}}, True, ("single", ["a"]), id="one"),
        pytest.param("BTC-USD", {"a": {"BTC-USDT"}, "b": {"BTC-USDT"}}, True, ("down", []), id="no rate"),
        pytest.param("BTC-USD", {"a": {"BTC-USDT"}, "b": BOTH}, True, ("ok", ["a", "b"]), id="one direct, one converted"),
        pytest.param("BTC-USD", {"a": {"BTC-USDT"}, "b": {"BTC-USDT"}, "c": {"USDT-USD"}}, True, ("single", ["a", "b"]),
                     id="all converted are one source"),
        pytest.param("BTC-USD", {"a": {"BTC-USDT"}, "b": BOTH}, False, ("single", ["b"]), id="no conversion"),
        pytest.param("USDT-USD", {"a": {"BTC-USDT"}, "b": BOTH}, True, ("single", ["b"]), id="the rate itself"),
        pytest.param("BTC-USD", {}, True, ("down", []), id="no exchange"),
    ],
)  # fmt: skip
def test_quality(symbol: str, listings: dict[str, set[str]], conversions: bool, expected: tuple[str, list[str]]) -> None:
    listed = {name: {Symbol(one) for one in symbols} for name, symbols in listings.items()}
    assert quality_of(Symbol(symbol), listed, DEFAULT_CONVERSIONS if conversions else Conversions()) == expected
