"""Events that wait to be sent and do not replace each other. Pure."""

from collections import deque

from .sse import with_dropped

MOST_WAITING = 200


class Backlog:
    """The events of one channel that wait to be sent, oldest first.

    At most MOST_WAITING are kept. When one more comes, the oldest is dropped. The first event that is sent says how many were
    dropped before it.
    """

    __slots__ = ("dropped", "events")

    def __init__(self) -> None:
        self.events: deque[bytes] = deque()
        self.dropped = 0  # how many were dropped before the first event that is kept

    def put(self, event: bytes) -> None:
        """Add an event behind all others."""
        self.events.append(event)
        if len(self.events) > MOST_WAITING:
            self.events.popleft()
            self.dropped += 1

    def extend(self, later: "Backlog") -> None:
        """Add the events of another backlog of the same channel, which are later ones. The other backlog does not change."""
        self.dropped += later.dropped
        for event in later.events:
            self.put(event)

    def text(self) -> bytes:
        """Return the events as they are sent. If events were dropped, the first one says how many."""
        if not self.dropped:
            return b"".join(self.events)
        first, *others = self.events
        return b"".join((with_dropped(first, self.dropped), *others))
