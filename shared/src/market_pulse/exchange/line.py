"""Whether a message is news on its channel, by the exchange's own number and clock. Pure: time is passed in.

An exchange numbers what it says, or stamps it with its time, or both. Each of the two may begin anew: a service restarts and
counts from 1, a clock is put right, or one corrupted message is far ahead of all that follow. So no number and no time is
believed for ever:

- A message that happened FAR_MS later than the newest one is news, whatever its number: numbers began anew.
- A time that lies FAR_MS ahead of our clock is no yardstick for a message whose time does not.
- Where neither tells, messages that rise among themselves for STALE_MS, while nothing else comes, are a new numbering.
"""

from enum import Enum
from typing import Final

FAR_MS: Final = 5_000  # further apart than any two servers' clocks, and the lag from which on the aggregator distrusts a source
STALE_MS: Final = 60_000  # after so long without news the source counts as stale, so nothing is lost by starting afresh
LOWER_TO_BREAK: Final = 3  # fewer in a row are disorder among messages that rise
UNKNOWN: Final = -1  # the number and the time of a line on which nothing has come
TIE: Final = 2**-10  # added to a time or number below 2**43, a float carries it exactly


class Verdict(Enum):
    """The rank of a message beside the newest one of its channel."""

    AHEAD = "ahead"
    SAME = "same"  # it bears the same number and time
    BEHIND = "behind"
    ANEW = "anew"  # it is news although it bears a lower number or an earlier time


AHEAD, SAME, BEHIND, ANEW = Verdict  # an Enum's member costs a look-up in its class each time


class Line:
    """One channel of one symbol: how far it is.

    `order` is the number and the time of the newest message as they are published. Numbers are whole and above zero, times are
    Unix milliseconds of the exchange's clock; 0 where the exchange gives none.
    """

    __slots__ = (
        "_credible_ms",
        "_lower",
        "_run",
        "_run_since_ms",
        "_ties",
        "behind_since_ms",
        "number",
        "order",
        "time_ms",
    )

    def __init__(self) -> None:
        # The newest message's.
        self.number = UNKNOWN
        self.time_ms = UNKNOWN
        self._credible_ms = 0  # the newest time that did not lie ahead of our clock
        self._ties = 0
        # The newest of those messages behind that rise among themselves while nothing else comes, as (time, number), since when
        # they do, and how many lower ones have come since.
        self._run: tuple[int, int] | None = None
        self._run_since_ms = 0
        self._lower = 0
        # Since when messages are refused, in milliseconds of our clock; 0: they are not.
        self.behind_since_ms = 0
        self.order: tuple[float, float] = (UNKNOWN, UNKNOWN)

    def take(self, order: tuple[int, int], received_ms: int, *, restarted: bool = False) -> Verdict:
        """Judge a message by its number and time, and move on to it unless it is behind.

        `restarted`: the exchange itself says that it begins anew.
        """
        number, time_ms = order
        known, known_ms = self.number, self.time_ms
        # A number or time that the message does not bear stays as it was.
        number = number or (max(0, known))
        time_ms = time_ms or (max(0, known_ms))
        if time_ms >= known_ms and number >= known:  # as it is nearly always
            verdict = AHEAD if time_ms != known_ms or number != known else SAME
        else:
            verdict = self._judge(number, time_ms, received_ms)
            if verdict is BEHIND and restarted and time_ms >= known_ms:
                verdict = ANEW
        if verdict is AHEAD or verdict is ANEW:
            self._move(number, time_ms, received_ms)
        elif verdict is SAME and self._run is not None:
            self._run, self.behind_since_ms = None, 0
        return verdict

    def tie(self) -> None:
        """Count a message that bears the number and time of the newest one but says something else as the next one."""
        self._ties += 1
        self._publish()

    def jump(self, number: int) -> bool:
        """Go on from a number that another channel told. Return whether it is lower, so that numbers began anew."""
        is_lower = number < self.number
        self.number = number
        self._publish()
        return is_lower

    def _judge(self, number: int, time_ms: int, received_ms: int) -> Verdict:
        """Judge a message that bears a lower number or an earlier time than the newest one."""
        known_ms = self.time_ms
        if time_ms > 0 and known_ms > 0:
            if time_ms > known_ms + FAR_MS:
                return ANEW
            # Where the known time lies ahead of our clock, the newest one that did not is the yardstick.
            if known_ms > self._credible_ms and self._credible_ms < time_ms <= received_ms + FAR_MS:
                return ANEW
        return self._behind(number, time_ms, received_ms)

    def _behind(self, number: int, time_ms: int, received_ms: int) -> Verdict:
        """Judge a message that is behind by the ones that were behind before it: are they a new numbering?"""
        here = time_ms, number
        if self._run is None or here == self._run:
            self._lower = 0
        elif here > self._run:
            self._lower = 0
            if received_ms - self._run_since_ms >= STALE_MS:
                return ANEW
        else:
            self._lower += 1
            if self._lower < LOWER_TO_BREAK:
                return BEHIND
            self._run = None  # it was the newest one that was out of order
        if self._run is None:
            self._run_since_ms = received_ms
            self._lower = 0
        self._run = here
        self.behind_since_ms = self.behind_since_ms or received_ms
        return BEHIND

    def _move(self, number: int, time_ms: int, received_ms: int) -> None:
        # Within one millisecond ties go on, so that the published time never falls.
        if time_ms != self.time_ms or (time_ms <= 0 and number != self.number):
            self._ties = 0
        self.number, self.time_ms = number, time_ms
        if time_ms <= received_ms + FAR_MS:
            self._credible_ms = time_ms
        if self._run is not None:
            self._run, self.behind_since_ms = None, 0
        if self._ties:
            self._publish()
        else:
            self.order = number, time_ms

    def _publish(self) -> None:
        if self.time_ms > 0:
            self.order = self.number, self.time_ms + self._ties * TIE
        else:
            self.order = self.number + self._ties * TIE, self.time_ms
