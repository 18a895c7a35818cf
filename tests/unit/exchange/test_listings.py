"""A market is gone when two good answers lack it: one odd answer, or an odd entry, takes nothing away."""

from typing import Any

import pytest

from market_pulse.exchange.adapter import Batch, Listed, Skipped
from market_pulse.exchange.listing import Listing
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
    assert [listing.take(answer) for answer in answers] == doubtful
    named = None if listing.markets is None else " ".join(sorted(symbol.split("-")[0] for symbol in listing.markets))
    assert named == symbols
