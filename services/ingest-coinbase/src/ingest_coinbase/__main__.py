from market_pulse.exchange.main import main

from .adapter import ADAPTER

main(ADAPTER)
