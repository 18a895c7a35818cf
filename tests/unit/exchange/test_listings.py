"""A market counts as delisted when two good listings lack it. One odd listing, or an odd entry, removes no market."""

from typing import Any

import pytest

from market_pulse.exchange.adapter import Batch, Listed, Skipped
from market_pulse.exchange.listing import DOUBT_S, FIRST_DOUBT_S, LARGE_LISTING, Listing
from market_pulse.messages import Symbol

BTC, ETH = (Listed(Symbol(f"{base}-USDT"), f"{base}USDT", 2) for base in ("BTC", "ETH"))
BOTH = Batch([BTC, ETH])
WITHOUT_ETH = Batch([BTC])
ETH_UNREADABLE = Batch([BTC], [Skipped("malformed", "no status", "ETHUSDT")])
OTHER_UNREADABLE = Batch([BTC], [Skipped("malformed", "no status", "XRPUSDT")])
NAMELESS = Batch([BTC], [Skipped("malformed", "no name", None)])


@pytest.mark.parametrize(
    ("answers", "symbols", "doubtful"),
    [
        pytest.param([], None, [], id="not known yet"),
        pytest.param([BOTH], "BTC ETH", [False], id="known"),
        pytest.param([BOTH, WITHOUT_ETH], "BTC ETH", [False, True], id="lacking once"),
        pytest.param([BOTH, WITHOUT_ETH, WITHOUT_ETH], "BTC", [False, True, False], id="lacking twice"),
        pytest.param([BOTH, WITHOUT_ETH, BOTH, WITHOUT_ETH], "BTC ETH", [False, True, False, True], id="back in between"),
        pytest.param([BOTH, ETH_UNREADABLE, ETH_UNREADABLE], "BTC ETH", [False, False, False], id="its entry is odd"),
        pytest.param([BOTH, WITHOUT_ETH, ETH_UNREADABLE], "BTC ETH", [False, True, False], id="odd the second time"),
        pytest.param([BOTH, OTHER_UNREADABLE, OTHER_UNREADABLE], "BTC", [False, True, False], id="another entry is odd"),
        pytest.param([BOTH, NAMELESS, NAMELESS], "BTC ETH", [False, False, False], id="an entry without a name"),
        pytest.param([BOTH, WITHOUT_ETH, WITHOUT_ETH, BOTH], "BTC ETH", [False, True, False, False], id="listed again"),
    ],
)
def test_markets(answers: list[Batch[Any]], symbols: str | None, doubtful: list[bool]) -> None:
    listing = Listing()
    assert [listing.update(answer) for answer in answers] == doubtful
    named = None if listing.markets is None else " ".join(sorted(symbol.split("-")[0] for symbol in listing.markets))
    assert named == symbols


MANY = [Listed(Symbol(f"A{number}-USDT"), f"A{number}USDT", 2) for number in range(LARGE_LISTING)]
NAMES = [one.symbol for one in MANY]


@pytest.mark.parametrize(
    ("known", "answer", "published", "is_doubtful"),
    [
        pytest.param(MANY, NAMES, 0, False, id="all there"),
        pytest.param(MANY, NAMES[: LARGE_LISTING // 2], 0, False, id="one half is left"),
        pytest.param(MANY, NAMES[: LARGE_LISTING // 2 - 1], 0, True, id="less than one half is left"),
        pytest.param(MANY, [BTC.symbol] * LARGE_LISTING, 0, True, id="others in their place"),
        pytest.param(MANY[1:], NAMES[:1], 0, False, id="a small listing"),
        pytest.param(None, NAMES[:1], 0, False, id="the first there ever was"),
        pytest.param(None, NAMES[:1], LARGE_LISTING, True, id="those before had more"),
        pytest.param(MANY, NAMES, 10 * LARGE_LISTING, False, id="others' listings count only at the start"),
    ],
)
def test_doubt(known: list[Listed] | None, answer: list[Symbol], published: int, is_doubtful: bool) -> None:
    listing = Listing()
    if known is not None:
        listing.update(Batch(known))
    assert (listing.why_doubtful(answer, published, 0.0) is not None) == is_doubtful


@pytest.mark.parametrize(("known", "limit_s"), [(MANY, DOUBT_S), (None, FIRST_DOUBT_S)], ids=["later", "at the start"])
def test_an_answer_that_lasts_is_believed_in_the_end(known: list[Listed] | None, limit_s: float) -> None:
    listing = Listing()
    if known is not None:
        listing.update(Batch(known))
    doubts = [listing.why_doubtful(NAMES[:1], LARGE_LISTING, at_s) for at_s in (5.0, 5.0 + limit_s - 1, 5.0 + limit_s)]
    assert [doubt is not None for doubt in doubts] == [True, True, False]
    assert listing.why_doubtful(NAMES, LARGE_LISTING, 10_000.0) is None
    assert listing.why_doubtful(NAMES[:1], LARGE_LISTING, 10_001.0) is not None, (
        "a good answer in between ends the series of odd ones"
    )
