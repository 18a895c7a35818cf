"""Judges what Redis says is asked for. Pure: time is passed in."""

from collections.abc import Set as AbstractSet

from market_pulse.messages import Symbol

SETTLE_S = 10.0
"""For so long after Redis was away, or seemed to know nobody any more, those who ask are expected back."""


class Asked:
    """Believes Redis about what is asked for, but not that nobody asks any more just after it was away.

    A Redis that starts again, or the replica that takes over, knows a subscription only when its subscriber is back. Gateways
    ask for the featured symbols all the time, so an answer without any symbol means that Redis has lost its connections.
    """

    def __init__(self) -> None:
        self._known: frozenset[Symbol] = frozenset()
        self._answered_any = False
        self._unsure_until_s = float("-inf")

    def believe(self, now_s: float, answer: AbstractSet[Symbol] | None) -> frozenset[Symbol] | None:
        """Return what is asked for, or None where it is not known.

        Args:
            now_s: a monotonic clock, in seconds.
            answer: what Redis says; None: it did not answer.
        """
        if answer is None:
            self._unsure_until_s = now_s + SETTLE_S
            return None
        if self._answered_any and not answer:
            self._unsure_until_s = now_s + SETTLE_S
        self._answered_any = bool(answer)
        self._known = frozenset(answer | self._known) if now_s < self._unsure_until_s else frozenset(answer)
        return self._known
