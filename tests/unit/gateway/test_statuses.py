"""The reported status of an exchange: the last one of its ingest, as long as the ingest repeats it."""

import orjson
import pytest

from gateway.stream.statuses import MOST_COPIES, SILENT_AFTER_MS, Statuses
from market_pulse.messages import LONGEST_STATUS, CodecError
from support.samples import NOW_MS, status_bytes


def test_only_changes_are_news() -> None:
    statuses = Statuses()
    statuses.take("okx", status_bytes(state="connecting"), NOW_MS)
    assert [status.feed.state for status in statuses.changed(NOW_MS)] == ["connecting"]
    statuses.take("okx", status_bytes(state="connecting"), NOW_MS + 5000)
    assert statuses.changed(NOW_MS + 5000) == []
    statuses.take("okx", status_bytes(state="connected"), NOW_MS + 6000)
    assert [status.feed.state for status in statuses.changed(NOW_MS + 6000)] == ["connected"]


def test_a_silent_exchange_is_down_and_comes_back() -> None:
    statuses = Statuses()
    statuses.take("okx", status_bytes(), NOW_MS)
    statuses.changed(NOW_MS)
    later = NOW_MS + SILENT_AFTER_MS + 2000
    [news] = [status.feed for status in statuses.changed(later)]
    assert (news.state, news.reason, news.since_ms, news.symbols) == ("down", "no status for 17 s", NOW_MS, 0)
    assert statuses.changed(later + 1000) == [], "a silence that goes on is not reported again"
    assert statuses.current(later + 1000)["okx"].feed.reason == "no status for 18 s"
    statuses.take("okx", status_bytes(), later + 2000)
    assert [status.feed.state for status in statuses.changed(later + 2000)] == ["connected"]


def test_one_connected_copy_is_enough() -> None:
    statuses = Statuses()
    statuses.take("okx", status_bytes(instance="a"), NOW_MS)
    statuses.take("okx", status_bytes(instance="b", state="reconnecting"), NOW_MS + 1)
    assert statuses.current(NOW_MS + 2)["okx"].feed.instance == "a"
    statuses.take("okx", status_bytes(instance="b", state="reconnecting"), NOW_MS + SILENT_AFTER_MS)
    assert statuses.current(NOW_MS + SILENT_AFTER_MS)["okx"].feed.state == "reconnecting"


def test_copies_are_counted_while_they_live() -> None:
    statuses = Statuses()
    for instance in "ab":
        statuses.take("okx", status_bytes(instance=instance), NOW_MS)
    assert instances(statuses, NOW_MS) == ["a", "b"]
    statuses.take("okx", status_bytes(instance="b", state="down"), NOW_MS + 1)
    assert instances(statuses, NOW_MS + 1) == ["a"], "a copy that reports its stop is dropped at once"
    statuses.take("okx", status_bytes(instance="c"), NOW_MS + 2)
    assert instances(statuses, NOW_MS + SILENT_AFTER_MS) == ["c"], "a silent copy is dropped after a while"
    statuses.take("okx", status_bytes(instance="c", state="down"), NOW_MS + SILENT_AFTER_MS)
    assert instances(statuses, NOW_MS + SILENT_AFTER_MS) == []
    assert statuses.current(NOW_MS + SILENT_AFTER_MS)["okx"].feed.state == "down"


def instances(statuses: Statuses, now_ms: int) -> list[str]:
    return [copy.instance for copy in statuses.current(now_ms)["okx"].copies]


def test_beats_do_not_make_equal_copies_take_turns() -> None:
    statuses = Statuses()
    for beat_ms in range(0, 20_000, 5000):
        for number, instance in enumerate("ab"):
            statuses.take("okx", status_bytes(instance=instance), NOW_MS + beat_ms + number)
            assert statuses.current(NOW_MS + beat_ms + number)["okx"].feed.instance == "a"


def test_the_trouble_of_another_copy_is_told() -> None:
    statuses = Statuses()
    statuses.take("okx", status_bytes(instance="a"), NOW_MS)
    statuses.take("okx", status_bytes(instance="b"), NOW_MS)
    statuses.changed(NOW_MS)
    statuses.take("okx", status_bytes(instance="b", state="reconnecting"), NOW_MS)
    [news] = statuses.changed(NOW_MS)
    told = orjson.loads(news.json())
    assert (told["state"], told["instance"], told["instances"]) == ("connected", "a", 2)
    [other] = told["others"]
    assert (other["instance"], other["state"]) == ("b", "reconnecting")


def test_simulated_is_said_as_soon_as_one_is() -> None:
    statuses = Statuses()
    statuses.take("okx", status_bytes("okx"), NOW_MS)
    assert not statuses.simulated
    statuses.take("bybit", status_bytes("bybit", simulated=True), NOW_MS)
    assert statuses.simulated


def test_nobody_speaks_for_another_exchange() -> None:
    statuses = Statuses()
    with pytest.raises(CodecError):
        statuses.take("okx", status_bytes("binance", simulated=True), NOW_MS)
    assert statuses.current(NOW_MS) == {}
    assert not statuses.simulated


def test_of_one_exchange_so_many_copies_are_known() -> None:
    statuses = Statuses()
    for number in range(MOST_COPIES):
        statuses.take("okx", status_bytes(instance=str(number)), NOW_MS)
    with pytest.raises(CodecError):
        statuses.take("okx", status_bytes(instance="another"), NOW_MS)
    statuses.take("okx", status_bytes(instance="0"), NOW_MS + 1)
    statuses.take("okx", status_bytes(instance="another"), NOW_MS + SILENT_AFTER_MS)
    assert instances(statuses, NOW_MS + SILENT_AFTER_MS) == ["0", "another"]


def test_a_copy_that_has_stopped_yields_to_one_that_lives() -> None:
    statuses = Statuses()
    for number in range(MOST_COPIES):
        statuses.take("okx", status_bytes(instance=str(number), state="down" if number % 2 else "connected"), NOW_MS)
    for number in range(MOST_COPIES // 2):
        statuses.take("okx", status_bytes(instance=f"new {number}"), NOW_MS + 1)
    assert len(instances(statuses, NOW_MS + 1)) == MOST_COPIES
    with pytest.raises(CodecError):
        statuses.take("okx", status_bytes(instance="one more"), NOW_MS + 1)


@pytest.mark.parametrize(
    ("copies", "turned_away", "count"),
    [
        pytest.param([(["A-USDT", "B-USDT"], 2)], ["A-USDT", "B-USDT"], 2, id="one copy"),
        pytest.param([(["A-USDT", "B-USDT"], 2), (["B-USDT", "C-USDT"], 2)], ["B-USDT"], 1, id="symbols turned away by each"),
        pytest.param([(["A-USDT"], 1), ([], 0)], [], 0, id="another copy has room"),
        pytest.param([(["A-USDT"], 40), (["A-USDT"], 30)], ["A-USDT"], 30, id="more than they name"),
        pytest.param([(["A-USDT"], 40), ([], 0)], [], 0, id="more than it names, and another copy has room"),
    ],
)
def test_a_symbol_is_turned_away_where_no_copy_has_room(
    copies: list[tuple[list[str], int]], turned_away: list[str], count: int
) -> None:
    statuses = Statuses()
    for number, (names, total) in enumerate(copies):
        message = status_bytes(instance=str(number), turned_away=names, turned_away_count=total)
        statuses.take("okx", message, NOW_MS)
    statuses.take("bybit", status_bytes("bybit", turned_away=turned_away[:1]), NOW_MS)
    told = orjson.loads(statuses.current(NOW_MS)["okx"].json(with_room=True))
    assert (told["turnedAway"], told["turnedAwayCount"]) == (turned_away, count)
    assert "turnedAway" not in orjson.loads(statuses.current(NOW_MS)["okx"].json())
    exchanges, overfull = statuses.without_room(NOW_MS)
    assert exchanges == {name: ("bybit", "okx") if name in turned_away[:1] else ("okx",) for name in turned_away}
    assert overfull == ({"okx"} if count > len(turned_away) else set())
    assert not any(statuses.without_room(NOW_MS + SILENT_AFTER_MS)), "a silent exchange turns no symbol away"


def test_that_room_is_short_is_no_news_for_every_stream() -> None:
    statuses = Statuses()
    statuses.take("okx", status_bytes(), NOW_MS)
    statuses.changed(NOW_MS)
    statuses.take("okx", status_bytes(turned_away=["A-USDT"]), NOW_MS)
    assert statuses.changed(NOW_MS) == []


def test_what_is_too_long_for_everybody_is_refused() -> None:
    with pytest.raises(CodecError):
        Statuses().take("okx", status_bytes(reason="x" * LONGEST_STATUS), NOW_MS)


def test_what_is_no_status_is_refused() -> None:
    with pytest.raises(CodecError):
        Statuses().take("okx", b"{}", NOW_MS)


def test_while_the_bus_is_away_nobody_is_called_silent() -> None:
    """Without the bus their silence means nothing: each status stays, and its reason states its age."""
    statuses = Statuses()
    statuses.take("okx", status_bytes(), NOW_MS)
    statuses.take("bybit", status_bytes("bybit", "reconnecting", reason="cut"), NOW_MS)
    statuses.changed(NOW_MS)
    statuses.listen(NOW_MS + 1_000, hears=False)
    told = [(one.feed.exchange, one.feed.state) for one in statuses.changed(NOW_MS + 1_000)]
    assert told == [("bybit", "reconnecting"), ("okx", "connected")]
    for later_ms in (2_000, 20_000, 600_000):
        statuses.listen(NOW_MS + later_ms, hears=False)
        assert statuses.changed(NOW_MS + later_ms) == [], "an unchanged state is not reported again"
    late = {name: one.feed for name, one in statuses.current(NOW_MS + 601_000).items()}
    assert {name: feed.state for name, feed in late.items()} == {"okx": "connected", "bybit": "reconnecting"}
    assert {feed.reason for feed in late.values()} == {"as of 600 s ago: this gateway does not hear the bus"}
    statuses.listen(NOW_MS + 602_000, hears=True)
    assert statuses.current(NOW_MS + 602_000)["bybit"].feed.reason == "cut"
    statuses.take("okx", status_bytes(), NOW_MS + 603_000)
    silent = statuses.current(NOW_MS + 602_000 + SILENT_AFTER_MS)
    assert {name: one.feed.state for name, one in silent.items()} == {"okx": "connected", "bybit": "down"}


def test_what_comes_is_heard() -> None:
    """It counts even before the first check of the subscription."""
    statuses = Statuses()
    statuses.listen(NOW_MS, hears=False)
    statuses.take("okx", status_bytes(), NOW_MS + 60_000)
    statuses.listen(NOW_MS + 60_500, hears=True)
    assert statuses.current(NOW_MS + 60_000 + SILENT_AFTER_MS - 1)["okx"].feed.state == "connected"
    assert statuses.current(NOW_MS + 60_000 + SILENT_AFTER_MS)["okx"].feed.state == "down"


def test_an_ingest_that_has_not_reached_its_exchange_yet_does_not_know_whether_it_is_simulated() -> None:
    """The last known value stays until a connected ingest reports another."""
    statuses = Statuses()
    statuses.take("okx", status_bytes(instance="a", simulated=True), NOW_MS)
    statuses.take("okx", status_bytes(instance="a", state="down", simulated=True), NOW_MS + 1)
    later = NOW_MS + 3 * SILENT_AFTER_MS
    for state in ("connecting", "reconnecting", "blocked"):
        statuses.take("okx", status_bytes(instance="b", state=state), later)
        assert statuses.simulated
        assert statuses.current(later)["okx"].feed.simulated
    statuses.take("okx", status_bytes(instance="b"), later + 1)
    assert not statuses.simulated
    assert not statuses.current(later + 1)["okx"].feed.simulated


def test_who_runs_here() -> None:
    statuses = Statuses()
    for exchange, state in {"okx": "connected", "bybit": "reconnecting", "kraken": "blocked", "binance": "down"}.items():
        statuses.take(exchange, status_bytes(exchange, state), NOW_MS)  # type: ignore[arg-type]
    assert statuses.serving(NOW_MS) == {"okx", "bybit"}
    assert statuses.serving(NOW_MS + SILENT_AFTER_MS) == set()
