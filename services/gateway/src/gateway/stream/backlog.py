"""Events that wait to be sent, where each counts. Pure."""

from collections import deque

from .sse import with_dropped

MOST_WAITING = 200


class Backlog:
    """The events of one channel that wait to be sent, oldest first. None replaces another.

    At most MOST_WAITING are kept. When one more comes the oldest is dropped. The first event that is sent tells how many were.
    """

    __slots__ = ("dropped", "events")

    def __init__(self) -> None:
        self.events: deque[bytes] = deque()
        self.dropped = 0  # how many were, before the first one that is kept

    def put(self, event: bytes) -> None:
        """Add an event behind all others."""
        self.events.append(event)
        if len(self.events) > MOST_WAITING:
            self.events.popleft()
            self.dropped += 1

    def extend(self, later: "Backlog") -> None:
        """Add what waits in another backlog of the same channel, which came later. The other one stays as it is."""
        self.dropped += later.dropped
        for event in later.events:
            self.put(event)

    def text(self) -> bytes:
        """Return the events as they are sent: the first says how many were dropped before it, if any were."""
        if not self.dropped:
            return b"".join(self.events)
        first, *others = self.events
        return b"".join((with_dropped(first, self.dropped), *others))
