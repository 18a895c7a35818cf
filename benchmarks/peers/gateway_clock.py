"""Runs the gateway with another flush clock: `python gateway_clock.py fixed|unbounded`."""

import sys

import gateway.api.gateway
from gateway.__main__ import main
from gateway.stream.flush import FlushClock


class FixedClock(FlushClock):
    """Allows 20 flushes a second, regardless of their cost."""

    def flushed(self, start: float, end: float, worked_s: float) -> None:  # noqa: ARG002 - the clock's signature
        self._next = start + 1 / 20


class UnboundedClock(FlushClock):
    """Flushes in each turn of the event loop in which there is something to write."""

    def flushed(self, start: float, end: float, worked_s: float) -> None:
        """Allow the next flush at once."""


setattr(gateway.api.gateway, "FlushClock", {"fixed": FixedClock, "unbounded": UnboundedClock}[sys.argv[1]])  # noqa: B010 - a class
main()
