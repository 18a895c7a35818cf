"""Decides whether to trust Redis's answer on which symbols have subscribers. No I/O: time is passed in."""

from collections.abc import Set as AbstractSet

from market_pulse.messages import Symbol

SETTLE_S = 10.0
"""How long subscribers may take to come back after Redis did not answer, or answered that there were no subscribers left."""


class Asked:
    """The symbols that have subscribers, according to Redis. Just after Redis was away, no symbol is removed from them.

    A Redis that has restarted, or a replica that has taken over, knows a subscription only when its subscriber has reconnected.
    Gateways subscribe to the featured symbols all the time, so an answer without any symbol means that Redis has lost its
    connections.
    """

    def __init__(self) -> None:
        self._known: frozenset[Symbol] = frozenset()
        self._answered_any = False
        self._unsure_until_s = float("-inf")

    def believe(self, now_s: float, answer: AbstractSet[Symbol] | None) -> frozenset[Symbol] | None:
        """Return the symbols that have subscribers, or None if they are not known.

        Args:
            now_s: a monotonic clock, in seconds.
            answer: the symbols that Redis returned; None: it did not answer.
        """
        if answer is None:
            self._unsure_until_s = now_s + SETTLE_S
            return None
        if self._answered_any and not answer:
            self._unsure_until_s = now_s + SETTLE_S
        self._answered_any = bool(answer)
        self._known = frozenset(answer | self._known) if now_s < self._unsure_until_s else frozenset(answer)
        return self._known
