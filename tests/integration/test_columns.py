"""Recordings as Parquet files, read by DuckDB, which shares no code with their writer."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from cli.app import app
from cli.columns import MOST_BYTES, WRITE_EACH_S, Recording, record
from cli.output import Output
from market_pulse.messages import Candle, CodecError, FeedStatus, Interval, Tick, Ticker, encode, encode_tick
from support.redis_server import redis_server
from support.samples import converted_ticker
from support.waiting import until
from support.whole_bus import WholeBus

from .bus_fixtures import BTC, STATUS, TICK, TICKER

CANDLE = Candle(
    symbol=BTC, interval=Interval.MINUTE, start_ms=60_000, end_ms=120_000, open=1.0, high=2.5, low=1e-7, close=2.0, volume=None,
    closed=False, origin="live", exchanges=("okx", "bybit"), first_seq=9_007_199_254_740_990, last_seq=9_007_199_254_740_991,
    received_time_ms=70_000,
)  # fmt: skip
CHANNELS = {
    "ticks:okx:BTC-USDT": encode_tick(replace(TICK, order=(1.0, -1.0, 2.5)), 5),
    "ticker:BTC-USDT": encode(TICKER),
    "ticker:BTC-USD": encode(converted_ticker()),
    "status:okx": encode(STATUS),
    "candle:1m:BTC-USDT": encode(CANDLE),
    "candles:1m:okx:BTC-USDT": encode(replace(CANDLE, exchange="okx", origin="exchange")),
}


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    found = duckdb.read_parquet(f"{folder}/{kind}/*.parquet").order("channel, recordedTime")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


async def test_each_message_is_a_row_with_all_its_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr("cli.columns.WRITE_EACH_S", 0.0)
    folder = tmp_path / "recording"
    async with redis_server() as server, WholeBus.open(server.url) as bus:
        recording = asyncio.create_task(record(server.url, folder, Output(json=True), 0))

        async def is_recording() -> bool:
            await bus.publish_status(STATUS)
            return (folder / "feedstatus").exists()

        await until(is_recording)
        for nonsense in (b"nonsense", encode(STATUS)):
            await bus.client.publish("ticks:okx:BTC-USDT", nonsense)
        await bus.client.publish("ticker:eth", encode(TICKER))
        for channel, data in CHANNELS.items():
            await bus.client.publish(channel, data)
        await until(lambda: len(list(folder.glob("candle/*.parquet"))) == 2)
        recording.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await recording
    facts = orjson.loads(capsysbinary.readouterr().out)
    recorded: dict[str, Any] = {}
    count = 0
    for kind in ("tick", "ticker", "feedstatus", "candle"):
        for row in rows(folder, kind):
            count += 1
            assert row.pop("recordedTime") > 1_700_000_000_000
            recorded[row.pop("channel")] = row
    assert (facts["messages"], facts["skipped"], facts["missed"], facts["gaps"]) == (count, 3, 0, 0)
    assert recorded.keys() == CHANNELS.keys()
    for channel, data in CHANNELS.items():
        assert _known(recorded[channel]) | {"v": 1} == _known(orjson.loads(data))


def _known(value: Any) -> Any:
    """Return a message without what is null or left out: a column has no other word for it."""
    if isinstance(value, dict):
        return {name: _known(one) for name, one in value.items() if one is not None}
    return [_known(one) for one in value] if isinstance(value, list | tuple) else value


def test_rows_are_written_in_pieces_that_are_whole(tmp_path: Path) -> None:
    """After a kill the written rows can be read. The rows that wait are bounded in time and size."""
    recording = Recording(tmp_path / "recording")
    ticker = encode(TICKER)
    now_s = 0.0
    for number in range(100):
        recording.add("ticker:BTC-USDT", ticker, number, now_s)
        now_s += 1
        for kind in recording.due(now_s):
            recording.begin(kind)()
    assert [row["recordedTime"] for row in rows(tmp_path / "recording", "ticker")] == list(range(round(WRITE_EACH_S)))
    assert recording.waiting() == [Ticker]
    count = 0
    while not recording.due(now_s):
        recording.add("ticker:BTC-USDT", ticker, 1_000, now_s)
        count += 1
    assert count * len(ticker) <= MOST_BYTES
    recording.begin(Ticker)()
    assert len(rows(tmp_path / "recording", "ticker")) == 100 + count
    assert not list((tmp_path / "recording").rglob("*.unfinished"))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", encode(STATUS), encode(TICKER)[:-1]])
def test_what_is_no_message_of_its_channel_is_no_row(tmp_path: Path, data: bytes) -> None:
    recording = Recording(tmp_path / "recording")
    with pytest.raises(CodecError):
        recording.add("ticker:BTC-USDT", data, 1, 0.0)
    assert recording.waiting() == []


def test_all_types_of_messages_have_columns_of_plain_types(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "recording")
    for channel, data in CHANNELS.items():
        recording.add(channel, data.replace(b"{", b"\n { ", 1), 1, 0.0)
    assert set(recording.waiting()) == {Tick, Ticker, FeedStatus, Candle}
    for kind in recording.waiting():
        recording.begin(kind)()
    found = duckdb.read_parquet(f"{tmp_path}/recording/candle/*.parquet")
    types = dict(zip(found.columns, map(str, found.types), strict=True))
    assert types["start"] == "BIGINT"
    assert types["open"] == "DOUBLE"
    assert types["closed"] == "BOOLEAN"
    assert types["exchanges"] == "VARCHAR[]"


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        Recording(tmp_path)


def test_without_the_packages_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cli.columns", raising=False)
    monkeypatch.delattr("cli.columns", raising=False)
    monkeypatch.setitem(sys.modules, "arro3.io", None)
    ended = CliRunner().invoke(app, ["record", str(tmp_path / "x"), "--parquet", "--redis", "redis://127.0.0.1:1"])
    assert ended.exit_code == 2
    assert "arro3-core arro3-io" in " ".join(ended.output.replace("│", " ").split())
