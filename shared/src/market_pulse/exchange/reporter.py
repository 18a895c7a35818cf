"""Publishes a feed's status on the bus."""

import asyncio
from typing import NoReturn

from market_pulse.bus import BusError, IngestBus
from market_pulse.messages import FeedStatus
from market_pulse.process.logs import get_logger

from .feeds import Feeds
from .status import status_of

INTERVAL_S = 5.0
LOOK_S = 0.1
STALLED_S = 15.0

log = get_logger()


class StatusReporter:
    """Publishes the feed's status on each change and every INTERVAL_S. The last status that it publishes is `down`."""

    def __init__(self, bus: IngestBus, feeds: Feeds) -> None:
        self._bus = bus
        self._feeds = feeds
        self._clock = asyncio.get_running_loop().time
        self._turned_s = self._clock()  # when the loop in `run` last began a round
        self._status: FeedStatus | None = None  # the status in the last round
        self.reached = False  # whether Redis accepted the last status
        self._never_tried = True

    def stalled(self) -> str | None:
        """Return what is wrong if the loop in `run` has been stuck for more than STALLED_S, else None."""
        silent_s = self._clock() - self._turned_s
        return f"stuck for {silent_s:.0f} s" if silent_s > STALLED_S else None

    async def run(self) -> NoReturn:
        """Publish until cancelled, then stop the feed and publish its last status."""
        published: tuple[object, ...] | None = None
        published_s = 0.0
        try:
            while True:
                self._turned_s = self._clock()
                status = self._look()
                news = status.state, status.reason, status.turned_away, status.turned_away_count
                if news != published or self._turned_s - published_s >= INTERVAL_S:
                    await self._publish(status)
                    published, published_s = news, self._turned_s
                await asyncio.sleep(LOOK_S)
        finally:
            self._feeds.stop()
            await self._publish(self._look())

    def _look(self) -> FeedStatus:
        self._status = status_of(self._feeds.facts(), self._status)
        return self._status

    async def _publish(self, status: FeedStatus) -> None:
        try:
            await self._bus.publish_status(status)
        except BusError as failed:
            if self.reached or self._never_tried:
                log.warning("bus not reached; trying again", cause=str(failed))
            self.reached = False
        else:
            if not self.reached:
                log.info("bus reached")
            self.reached = True
        self._never_tried = False
