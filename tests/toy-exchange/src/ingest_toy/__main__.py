from market_pulse.feed.main import main

from .adapter import ADAPTER

main(ADAPTER)
