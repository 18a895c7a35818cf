"""The fault board: which faults are on, where and for how long, and which requests for faults are refused."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from simulator.app import VENUES
from simulator.faults import NO_EFFECTS, Action, Burst, Effects, FaultBoard, StandingFault, read_fault
from simulator.market import Market

NOW_MS = 1_786_538_789_464


def fault(**body: Any) -> StandingFault:
    read = read_fault(json.dumps(body).encode())
    assert not isinstance(read, Action)
    return read


def board(*bodies: dict[str, Any]) -> FaultBoard:
    faults = FaultBoard()
    for body in bodies:
        faults.add(fault(**body), NOW_MS)
    return faults


def test_nothing_is_wrong_at_first() -> None:
    assert FaultBoard().of("okx", "BTC-USDT") is NO_EFFECTS


@pytest.mark.parametrize(
    ("body", "effects"),
    [
        ({"kind": "mute"}, Effects(mute=True)),
        ({"kind": "mute", "channel": "bookTicker"}, Effects(mute_channel="bookTicker")),
        ({"kind": "clock", "ms": -5000}, Effects(clock_ms=-5000)),
        ({"kind": "late", "ms": 300}, Effects(late_ms=300, late_share=1.0)),
        ({"kind": "spike", "factor": 1.5}, Effects(factor=1.5)),
        ({"kind": "garbage", "share": 0.1}, Effects(garbage_share=0.1)),
        ({"kind": "empty"}, Effects(empty=True)),
        ({"kind": "duplicate"}, Effects(duplicate=True)),
        ({"kind": "delist", "symbol": "BTC-USDT"}, Effects(delist=True)),
        ({"kind": "no_open"}, Effects(no_open=True)),
        ({"kind": "never_closed"}, Effects(never_closed=True)),
        ({"kind": "closed_twice"}, Effects(closed_twice=True)),
        ({"kind": "few_candles", "rows": 3}, Effects(few_rows=3)),
        ({"kind": "old_candles", "age_s": 60}, Effects(old_ms=60_000)),
        ({"kind": "refuse", "status": 451}, NO_EFFECTS),
        ({"kind": "half_open"}, NO_EFFECTS),
    ],
)
def test_effects(body: dict[str, Any], effects: Effects) -> None:
    faults = board({"exchange": "okx"} | body)
    assert faults.of("okx", "BTC-USDT") == effects
    assert faults.of("bybit", "BTC-USDT") is NO_EFFECTS


def test_a_symbol_s_fault_is_its_own_and_the_star_is_every_exchange() -> None:
    faults = board({"exchange": "*", "kind": "mute", "symbol": "BTC-USDT"}, {"exchange": "okx", "kind": "empty"})
    assert faults.of("bybit", "BTC-USDT") == Effects(mute=True)
    assert faults.of("okx", "BTC-USDT") == Effects(mute=True, empty=True)
    assert faults.of("okx", "ETH-USDT") == Effects(empty=True)


def test_the_newest_of_a_kind_counts() -> None:
    faults = board({"exchange": "okx", "kind": "clock", "ms": 1}, {"exchange": "okx", "kind": "clock", "ms": 2})
    assert len(faults.standing) == 1
    assert faults.clock_ms("okx") == 2


def test_a_fault_ends() -> None:
    faults = board({"exchange": "okx", "kind": "mute", "for_s": 2}, {"exchange": "okx", "kind": "empty"})
    assert not faults.expire(NOW_MS + 1999)
    assert faults.expire(NOW_MS + 2000)
    assert faults.of("okx", "BTC-USDT") == Effects(empty=True)
    assert not faults.expire(NOW_MS + 10**9)


@pytest.mark.parametrize(
    ("exchange", "kind", "left"),
    [(None, None, 0), ("okx", None, 1), (None, "mute", 2), ("okx", "mute", 2), ("okx", "empty", 3)],
)
def test_clearing(exchange: str | None, kind: str | None, left: int) -> None:
    faults = board(
        {"exchange": "okx", "kind": "mute"},
        {"exchange": "bybit", "kind": "empty"},
        {"exchange": "okx", "kind": "refuse"},
    )
    faults.clear(exchange, kind)
    assert len(faults.standing) == left


def test_nested_errors_are_as_seen_on_the_wire_unless_switched_off() -> None:
    assert FaultBoard().nested_errors()
    assert not board({"kind": "nested_errors", "on": False}).nested_errors()


def test_a_spike_keeps_the_day_consistent() -> None:
    listing = Market(1, NOW_MS, VENUES).of("okx")["BTC-USDT"]
    for factor in (0.01, 0.9, 1.1, 1000.0):
        seen = Effects(factor=factor).distort(listing)
        assert seen.last == pytest.approx(listing.last * factor, rel=1e-4)
        assert seen.bid < seen.ask
        assert seen.low24h <= seen.last <= seen.high24h
    assert Effects().distort(listing) is listing


def test_an_action_has_its_defaults() -> None:
    assert read_fault(b'{"exchange":"okx","kind":"burst"}') == Burst(exchange="okx", kind="burst", n=500, stall_s=2.0)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("{", id="no JSON"),
        pytest.param('{"exchange":"okx"}', id="no kind"),
        pytest.param('{"exchange":"okx","kind":"half_open","symbol":"BTC-USDT"}', id="not for a symbol"),
        pytest.param('{"exchange":"okx","kind":"delist"}', id="needs a symbol"),
        pytest.param('{"exchange":"okx","kind":"garbage","share":2}', id="share above one"),
        pytest.param('{"exchange":"okx","kind":"spike","factor":0}', id="factor zero"),
        pytest.param('{"exchange":"okx","kind":"refuse","status":200}', id="status that refuses nothing"),
        pytest.param('{"exchange":"okx","kind":"mute","for_s":-1}', id="negative time"),
        pytest.param('{"exchange":"bybit","kind":"notice_64008"}', id="another exchange's"),
    ],
)
def test_what_is_no_fault_is_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        read_fault(body.encode())


def test_a_refusal_of_candles_alone() -> None:
    faults = board({"exchange": "okx", "kind": "refuse", "only": "candles"})
    assert faults.refusal("okx") is None
    assert faults.refusal("okx", of_candles=True) is not None
    assert faults.refusal("bybit", of_candles=True) is None


def test_crypto_com_s_acknowledgement_is_bare_while_the_fault_is_on() -> None:
    assert not FaultBoard().bare_ack()
    assert board({"exchange": "cryptocom", "kind": "bare_ack"}).bare_ack()
    assert not board({"exchange": "cryptocom", "kind": "bare_ack", "on": False}).bare_ack()
