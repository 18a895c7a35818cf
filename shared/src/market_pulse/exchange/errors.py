"""The errors that a feed raises and handles itself."""


class FeedError(Exception):
    """The base class of a feed's errors. None of them ends the process."""


class FrameError(FeedError):
    """A frame, or an answer from REST, cannot be used. It is counted by `kind` and skipped; the feed goes on."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class FeedLost(FeedError):
    """A socket is lost, or a request has failed. The caller tries again after a backoff.

    `kind` is the label under which Prometheus counts it: silent, pong, closed, cut, connect, other, or `http_<status>`.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class FeedSilent(FeedLost):
    """A socket that had delivered data was then silent for `limit_s`, longer than the past pauses of its symbols explain."""

    def __init__(self, limit_s: float) -> None:
        super().__init__("silent", f"open but silent for {limit_s:.0f} s")
        self.limit_s = limit_s


class FeedRefused(FeedLost):
    """The exchange refused the connection or request with an HTTP status.

    `blocked`: the exchange does not serve this network or country (403, 451). `failing`: the exchange has a failure of its own
    (5xx). `retry_after_s`: how long it asked us to wait, in seconds; None if it did not say.
    """

    def __init__(self, status: int, retry_after_s: float | None = None) -> None:
        wait = f", asks to wait {retry_after_s:.0f} s" if retry_after_s is not None else ""
        super().__init__(f"http_{status}", f"refused with HTTP {status}{wait}")
        self.status = status
        self.retry_after_s = retry_after_s
        self.blocked = status in {403, 451}
        self.failing = status >= 500
