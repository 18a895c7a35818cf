"""How the exchanges' feeds are doing, from what they last said and how long ago that was. Pure: time is an argument."""

from dataclasses import replace

from market_pulse.codec import decode_status
from market_pulse.model import FeedStatus

SILENT_AFTER_MS = 15_000  # three of the beats at which a living ingest repeats its status

_BEST_FIRST = ("connected", "degraded", "connecting", "reconnecting", "blocked", "down")


class Statuses:
    """Each exchange's FeedStatus. Of several copies of one ingest the best counts: one connected copy is enough.

    `simulated` tells whether any exchange's prices come from the simulator.
    """

    def __init__(self) -> None:
        self.simulated = False
        self._heard: dict[str, dict[str, tuple[FeedStatus, int]]] = {}
        self._shown: dict[str, object] = {}

    def take(self, data: bytes, now_ms: int) -> None:
        """Note a status message.

        Raises:
            CodecError: it is none.
        """
        status = decode_status(data)
        copies = self._heard.setdefault(status.exchange, {})
        copies[status.instance] = status, now_ms
        for instance, (_, heard_ms) in list(copies.items()):
            if now_ms - heard_ms >= SILENT_AFTER_MS:
                del copies[instance]
        self.simulated = any(one.simulated for copies in self._heard.values() for one, _ in copies.values())

    def current(self, now_ms: int) -> dict[str, FeedStatus]:
        """Return each exchange's status; one not heard from for SILENT_AFTER_MS is down."""
        return {exchange: self._of(copies, now_ms) for exchange, copies in sorted(self._heard.items())}

    def changed(self, now_ms: int) -> list[FeedStatus]:
        """Return the statuses that differ from what this method returned before."""
        news = []
        for exchange, status in self.current(now_ms).items():
            silent = self._is_silent(exchange, now_ms)
            shown = (status.state, silent or status.reason, status.simulated)
            if self._shown.get(exchange) != shown:
                self._shown[exchange] = shown
                news.append(status)
        return news

    def _is_silent(self, exchange: str, now_ms: int) -> bool:
        return all(now_ms - heard_ms >= SILENT_AFTER_MS for _, heard_ms in self._heard[exchange].values())

    def _of(self, copies: dict[str, tuple[FeedStatus, int]], now_ms: int) -> FeedStatus:
        speaking = [(status, heard_ms) for status, heard_ms in copies.values() if now_ms - heard_ms < SILENT_AFTER_MS]
        if speaking:
            return min(speaking, key=lambda one: (_rank(one[0]), -one[1]))[0]
        status, heard_ms = max(copies.values(), key=lambda one: one[1])
        silent_s = (now_ms - heard_ms) // 1000
        return replace(status, state="down", reason=f"no status for {silent_s} s", since_ms=heard_ms, symbols=0)


def _rank(status: FeedStatus) -> int:
    return _BEST_FIRST.index(status.state) if status.state in _BEST_FIRST else len(_BEST_FIRST)
