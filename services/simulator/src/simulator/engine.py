"""The clockwork: lets market events happen at a rate, hands them to the exchanges, and ends faults that have lasted."""

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
MOST_AT_ONCE = 256  # events between two turns of the event loop, so that sockets are read in between
LONGEST_DEBT_S = 0.1  # events that could not be made for lack of time are given up after this
UPKEEP_EVERY_S = 0.1


class Engine:
    """The running simulation. `rate`: market events per second, over all symbols and exchanges."""

    def __init__(self, market: Market, exchanges: Mapping[ExchangeName, Exchange], faults: FaultBoard, rate: float) -> None:
        self.market, self.exchanges, self.faults, self.rate = market, exchanges, faults, rate
        self.events = 0

    async def run(self) -> NoReturn:
        """Let the market happen, until cancelled."""
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
        """Do what is due on connections, and end faults, until cancelled."""
        while True:
            await asyncio.sleep(UPKEEP_EVERY_S)
            if self.faults.expire(wall_ms()):
                self.thaw()
            for exchange in self.exchanges.values():
                exchange.upkeep()

    def move(self, symbol: str, price: float) -> None:
        """Put a symbol's price elsewhere on all exchanges, with a trade on each.

        Raises:
            KeyError: no exchange lists the symbol.
        """
        for event in self.market.move(symbol, price, wall_ms()):
            self._publish(event)

    def inject(self, fault: StandingFault | Action) -> None:
        """Let something go wrong, from now on or once."""
        exchanges = [self.exchanges[name] for name in fault.exchanges()]
        if isinstance(fault, Action):
            for exchange in exchanges:
                exchange.act(fault)
            return
        self.faults.add(fault, wall_ms())
        if isinstance(fault, HalfOpen):
            for exchange in exchanges:
                exchange.freeze()

    def thaw(self) -> None:
        """Read and write sockets again where no half_open fault is on (any more)."""
        for name, exchange in self.exchanges.items():
            if self.faults.half_open(name) is None:
                exchange.thaw()

    def _publish(self, event: Event) -> None:
        self.events += 1
        self.exchanges[event.listing.exchange].publisher.on_event(event)
