"""The gateway with another flush clock in the place of its own: `python gateway_clock.py fixed|unbounded`."""

import sys

import gateway.api.gateway
from gateway.__main__ import main
from gateway.stream.flush import FlushClock


class FixedClock(FlushClock):
    """At most 20 flushes a second, whatever they cost."""

    def flushed(self, start: float, end: float, worked_s: float) -> None:  # noqa: ARG002 - the clock's signature
        self._next = start + 1 / 20


class UnboundedClock(FlushClock):
    """A flush in each turn of the loop that has something to write."""

    def flushed(self, start: float, end: float, worked_s: float) -> None:
        """Leave no time free."""


setattr(gateway.api.gateway, "FlushClock", {"fixed": FixedClock, "unbounded": UnboundedClock}[sys.argv[1]])  # noqa: B010 - a class
main()
