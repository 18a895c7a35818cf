"""The delay before a feed tries again to hand over to a new socket."""

import pytest

from market_pulse.exchange.errors import FeedLost, FeedRefused
from market_pulse.exchange.feed import handover_delay_s


@pytest.mark.parametrize(
    ("failed", "failures", "least_s", "most_s"),
    [
        pytest.param(
            FeedLost("silent", "no data in time"), 1, 0, 2, id="soon at first: some announce their end a minute ahead"
        ),
        pytest.param(FeedLost("silent", "no data in time"), 3, 0, 8, id="ever more slowly"),
        pytest.param(FeedLost("silent", "no data in time"), 50, 0, 60, id="but not never"),
        pytest.param(FeedRefused(503), 1, 0, 2, id="its servers are restarting"),
        pytest.param(FeedRefused(451), 1, 60, 62, id="refused"),
        pytest.param(FeedRefused(429), 1, 60, 62, id="too often"),
        pytest.param(FeedRefused(429, 300.0), 1, 300, 302, id="told how long"),
        pytest.param(FeedRefused(429, 0.0), 9, 60, 120, id="told nonsense"),
    ],
)
def test_handover_delay(failed: FeedLost, failures: int, least_s: float, most_s: float) -> None:
    """After a refusal the feed waits long, because an exchange's bans grow with each attempt."""
    assert all(least_s <= handover_delay_s(failed, failures) <= most_s for _ in range(50))
