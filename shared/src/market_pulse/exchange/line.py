"""Whether a message is newer than the one before it on its channel, by the exchange's numbers and times. Time is passed in.

An exchange numbers its messages, or stamps them with its time, or both. Numbers and times may start again lower: a service
restarts and counts from 1, a clock is corrected, or one corrupted message was far ahead of all that follow. So a known number
or time does not suppress lower ones for ever:

- If a message's time is more than FAR_MS after the newest message's, it is newer, whatever its number: numbering started again.
- If the newest message's time is more than FAR_MS ahead of our clock, it does not count against a message whose time is not.
- If messages keep rising among themselves for STALE_MS, and only such messages arrive, numbering started again.
"""

from enum import Enum
from typing import Final

FAR_MS: Final = 5_000  # more than the clocks of two servers differ; also the lag above which the aggregator distrusts a source
STALE_MS: Final = 60_000  # after this long without newer data the source counts as stale, so nothing is lost by starting again
LOWER_TO_BREAK: Final = 3  # fewer lower messages in a row are just out of order, and do not interrupt a rising run
UNKNOWN: Final = -1  # the number and time of a line that has had no message yet
TIE: Final = 2**-10  # a float represents it exactly when it is added to a time or number below 2**43
MOST_TIES: Final = 2**10 - 1  # so many are still less than one


class Verdict(Enum):
    """How a message compares with the newest one of its channel."""

    AHEAD = "ahead"
    SAME = "same"  # it has the same number and time
    BEHIND = "behind"
    ANEW = "anew"  # it is newer although its number is lower or its time earlier: numbering started again


AHEAD, SAME, BEHIND, ANEW = Verdict  # as globals, because each access to an Enum's member is a slow look-up


class Line:
    """The progress of one channel of one symbol.

    `order` is the number and time of the newest message, as published in ticks. Numbers are integers above zero. Times are Unix
    milliseconds by the exchange's clock. Each is 0 if the exchange does not give it.
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
        # The number and time of the newest message.
        self.number = UNKNOWN
        self.time_ms = UNKNOWN
        self._credible_ms = 0  # the newest time that was not more than FAR_MS ahead of our clock
        self._ties = 0  # how many different messages have had the newest number and time, beyond the first
        # A run of messages that are behind but rise among themselves, while no newer message arrives: the run's highest
        # (time, number), when the run began by our clock, and how many lower messages have arrived in a row since.
        self._run: tuple[int, int] | None = None
        self._run_since_ms = 0
        self._lower = 0
        # Since when messages are rejected as behind, in milliseconds by our clock; 0: they are not.
        self.behind_since_ms = 0
        self.order: tuple[float, float] = (UNKNOWN, UNKNOWN)

    def take(self, order: tuple[int, int], received_ms: int, *, restarted: bool = False) -> Verdict:
        """Compare a message's number and time with the newest one's. Unless it is behind, it becomes the newest.

        `restarted`: the exchange itself says that its numbers start again with this message.
        """
        number, time_ms = order
        known, known_ms = self.number, self.time_ms
        # If the message has no number or no time, the known one stays.
        number = number or (max(0, known))
        time_ms = time_ms or (max(0, known_ms))
        if time_ms >= known_ms and number >= known:  # the usual case
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
        """Count a message with the newest message's number and time but other content as one more, with a higher `order`."""
        self._ties += 1
        self._publish()

    def tie_to(self, count: int) -> None:
        """Raise `order` as `count` messages with the newest message's number and time would. It never falls.

        A number alone stays below its successor. Without a number and a time there is nothing to raise.
        """
        if self.time_ms <= 0:
            count = min(count, MOST_TIES) if self.number > 0 else 0
        if count > self._ties:
            self._ties = count
            self._publish()

    def jump(self, number: int) -> bool:
        """Continue from a number learnt on another channel. Return whether it is lower, that is, numbering started again."""
        is_lower = number < self.number
        self.number = number
        self._publish()
        return is_lower

    def _judge(self, number: int, time_ms: int, received_ms: int) -> Verdict:
        """Judge a message whose number is lower, or whose time is earlier, than the newest message's."""
        known_ms = self.time_ms
        if time_ms > 0 and known_ms > 0:
            if time_ms > known_ms + FAR_MS:
                return ANEW
            # If the known time is ahead of our clock, compare with the newest time that was not.
            if known_ms > self._credible_ms and self._credible_ms < time_ms <= received_ms + FAR_MS:
                return ANEW
        return self._behind(number, time_ms, received_ms)

    def _behind(self, number: int, time_ms: int, received_ms: int) -> Verdict:
        """Judge a message that is behind: ANEW if it continues a run of rising messages that has lasted for STALE_MS."""
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
            self._run = None  # these lower messages are the sequence, and the run's highest was out of order
        if self._run is None:
            self._run_since_ms = received_ms
            self._lower = 0
        self._run = here
        self.behind_since_ms = self.behind_since_ms or received_ms
        return BEHIND

    def _move(self, number: int, time_ms: int, received_ms: int) -> None:
        # While the time stays the same the count of ties is kept, so that the published time never falls.
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
