"""The clockwork: makes market events at a rate, passes them to the exchanges, and ends faults whose time is over."""

import asyncio
import time
from collections.abc import Mapping
from typing import NoReturn

from .catalogue import ExchangeName
from .clock import wall_ms
from .exchange import Exchange
from .faults import Action, FaultBoard, HalfOpen, StandingFault
from .market import Event, Market

SHORTEST_SLEEP_S, LONGEST_SLEEP_S = 0.001, 0.05
MOST_AT_ONCE = 256  # events in one turn of the event loop, so that sockets are read in between
LONGEST_DEBT_S = 0.1  # if event making falls further behind than this, the older events are dropped
UPKEEP_EVERY_S = 0.1


class Engine:
    """The running simulation. `rate` is in market events per second, over all symbols and exchanges."""

    def __init__(self, market: Market, exchanges: Mapping[ExchangeName, Exchange], faults: FaultBoard, rate: float) -> None:
        self.market, self.exchanges, self.faults, self.rate = market, exchanges, faults, rate
        self.events = 0

    async def run(self) -> NoReturn:
        """Make market events at the rate and publish them, until cancelled."""
        owed, before_s = 0.0, time.monotonic()
        while True:
            wanted_s = 1 / self.rate if self.rate > 0 else LONGEST_SLEEP_S
            await asyncio.sleep(0 if owed >= 1 else min(max(wanted_s, SHORTEST_SLEEP_S), LONGEST_SLEEP_S))
            now_s = time.monotonic()
            owed = min(owed + self.rate * (now_s - before_s), self.rate * LONGEST_DEBT_S + 1)
            before_s = now_s
            due = min(int(owed), MOST_AT_ONCE)
            owed -= due
            for listing in self.market.draw(due):
                self._publish(self.market.step(listing, wall_ms()))

    async def keep_up(self) -> NoReturn:
        """Maintain the connections and end faults whose time is over, until cancelled."""
        while True:
            await asyncio.sleep(UPKEEP_EVERY_S)
            if self.faults.expire(wall_ms()):
                self.thaw()
            for exchange in self.exchanges.values():
                exchange.upkeep()

    def move(self, symbol: str, price: float) -> None:
        """Set a symbol's price on all exchanges, with a trade on each.

        Raises:
            KeyError: no exchange lists the symbol.
        """
        for event in self.market.move(symbol, price, wall_ms()):
            self._publish(event)

    def inject(self, fault: StandingFault | Action) -> None:
        """Turn a standing fault on, or carry out an action once."""
        named = fault.exchanges()
        exchanges = [exchange for name, exchange in self.exchanges.items() if name in named]
        if isinstance(fault, Action):
            for exchange in exchanges:
                exchange.act(fault)
            return
        self.faults.add(fault, wall_ms())
        if isinstance(fault, HalfOpen):
            for exchange in exchanges:
                exchange.freeze()

    def thaw(self) -> None:
        """Resume reading and writing the sockets of each exchange that has no half_open fault now."""
        for name, exchange in self.exchanges.items():
            if self.faults.half_open(name) is None:
                exchange.thaw()

    def _publish(self, event: Event) -> None:
        self.events += 1
        self.exchanges[event.listing.exchange].publisher.on_event(event)
