"""Sample tickers and statuses, encoded by the real encoder as on the bus."""

from collections.abc import Sequence

from msgspec.structs import replace

from market_pulse.messages import FeedState, FeedStatus, Quality, Source, Symbol, Ticker, Via, encode

NOW_MS = 1_700_000_000_000


def ticker(
    symbol: str = "BTC-USDT", seq: int = 1, *, price: float | None = 64000.0, time_ms: int = NOW_MS, quality: Quality = "ok"
) -> Ticker:
    """Return a complete ticker with two sources, of which one is 58 s old."""
    sources = tuple(
        Source(exchange=exchange, price=64000.0, used_price=64000.0, weight=0.5, age_ms=age_ms, state="used", reason=None)
        for exchange, age_ms in (("binance", 100), ("okx", 58_000))
    )
    return Ticker(
        symbol=Symbol(symbol),
        seq=seq,
        price=price,
        dp=2,
        bid=63999.0,
        ask=64001.0,
        change24h=640.0,
        change_percent24h=1.01,
        open24h=63360.0,
        high24h=65000.0,
        low24h=63000.0,
        volume24h=1000.0,
        quote_volume24h=64_000_000.0,
        quality=quality,
        confidence=1.0,
        spread_bps=0.5,
        sources_used=2,
        sources_total=2,
        sources=sources,
        exchange_time_ms=time_ms - 120,
        received_time_ms=time_ms - 100,
        aggregated_time_ms=time_ms,
        publisher="aggregator:1",
        agreed_price=price,
        agreed_time_ms=time_ms,
        priced_time_ms=time_ms,
    )


def converted_ticker(symbol: str = "BTC-USD") -> Ticker:
    """Return a ticker with a direct source and two converted ones, of which one has no rate."""
    via = Via(symbol=Symbol("USDT-USD"), seq=7, price=0.9997, bid=0.9996, ask=0.9998, open24h=0.9995, confidence=0.0001,
              quality="ok", age_ms=300)  # fmt: skip
    nothing = Via(symbol=Symbol("USDC-USD"), seq=0, quality="down")
    whole = ticker(symbol)
    sources = (
        replace(whole.sources[0], exchange="coinbase"),
        replace(whole.sources[0], price=64010.5, own_price=64029.708912674, via=via),
        Source(
            exchange="okx", price=None, weight=0.0, age_ms=200, state="stale", reason="no rate", own_price=64000.0, via=nothing
        ),
    )
    return replace(whole, sources=sources, sources_total=3)


def ticker_bytes(
    symbol: str = "BTC-USDT",
    seq: int = 1,
    *,
    price: float | None = 64000.0,
    time_ms: int = NOW_MS,
    publisher: str | None = "aggregator:1",
) -> bytes:
    """Return that ticker as a message."""
    return encode(replace(ticker(symbol, seq, price=price, time_ms=time_ms), publisher=publisher))


def status_bytes(
    exchange: str = "okx",
    state: FeedState = "connected",
    *,
    reason: str | None = None,
    instance: str = "a",
    simulated: bool = False,
    turned_away: Sequence[str] = (),
    turned_away_count: int | None = None,
) -> bytes:
    """Return a status message."""
    return encode(
        FeedStatus(
            exchange=exchange,
            state=state,
            reason=reason,
            since_ms=NOW_MS,
            symbols=4,
            last_tick_time_ms=NOW_MS,
            reconnects=0,
            instance=instance,
            simulated=simulated,
            turned_away=tuple(map(Symbol, turned_away)),
            turned_away_count=len(turned_away) if turned_away_count is None else turned_away_count,
        )
    )
