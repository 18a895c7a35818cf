"""Which members of a ticker a stream gets, and how a ticker is cut down to them."""

import msgspec
import orjson
import pytest

from gateway.stream.fields import ALL, ALWAYS, MOST_SETS, Fields, FieldSets, cut_down, wish_for
from support.samples import ticker_bytes


def test_members_come_in_their_order_and_with_their_bytes() -> None:
    whole = ticker_bytes("BTC-USDT", 7, price=1e-7)
    some = cut_down(whole, wish_for(["sources", "price"]))
    kept = {name: value for name, value in orjson.loads(whole).items() if name in {*ALWAYS, "price", "sources"}}
    assert orjson.loads(some) == kept
    assert list(orjson.loads(some)) == list(kept)
    assert all(bytes(value) in whole for value in msgspec.json.decode(some, type=dict[str, msgspec.Raw]).values())


def test_without_a_wish_members_that_nobody_here_knows_come_too() -> None:
    newer = ticker_bytes().removesuffix(b"}") + b',"newer":1}'
    assert cut_down(newer, None) is newer
    assert "newer" not in orjson.loads(cut_down(newer, wish_for(ALL)))


def test_a_message_that_lacks_a_member_goes_without_it() -> None:
    assert cut_down(b'{"v":1,"symbol":"BTC-USDT","seq":1}', wish_for(["price"])) == b'{"v":1,"symbol":"BTC-USDT","seq":1}'


@pytest.mark.parametrize("name", ["prices", "Price", "received_time_ms", "sources.price", "x" * 1000])
def test_an_unknown_member_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match="changePercent24h") as refused:
        wish_for(["price", name])
    assert name[:40] in str(refused.value)
    assert len(str(refused.value)) < 500


def test_beyond_the_most_sets_a_wish_gets_the_smallest_that_holds_it() -> None:
    sets = FieldSets()
    names = [f"{number}" for number in range(MOST_SETS)]
    for size in range(1, MOST_SETS):
        assert sets.take(frozenset(names[:size])) == frozenset(names[:size])
    assert len(sets) == MOST_SETS
    assert sets.take(frozenset(names[2:4])) == frozenset(names[:4])
    assert sets.take(frozenset({"another"})) is None
    assert sets.take(frozenset(names[:3])) == frozenset(names[:3]), "a set that is there already costs nothing"
    assert sets.take(None) is None
    assert len(sets) == MOST_SETS


def test_a_set_goes_with_its_last_stream() -> None:
    sets = FieldSets()
    wishes: list[Fields] = [frozenset({f"{number}"}) for number in range(MOST_SETS)]
    given = [sets.take(wish) for wish in wishes for _ in range(2)]
    for fields in given:
        sets.give_back(fields)
    assert len(sets) == 1
    assert sets.take(wishes[-1]) == wishes[-1]
