"""The errors that a feed raises on purpose."""


class FeedError(Exception):
    """Something about a feed. The process goes on."""


class FrameError(FeedError):
    """One frame or answer cannot be used. It is counted by kind and skipped; the rest of the feed goes on."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class FeedLost(FeedError):
    """A socket or a request is of no more use. It is worth another try after a backoff.

    `kind` is the label under which Prometheus counts it: silent, pong, closed, cut, connect, other, or http_ and a status.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class FeedSilent(FeedLost):
    """A socket that had delivered was open but silent for `limit_s`, which is longer than its symbols' own past explains."""

    def __init__(self, limit_s: float) -> None:
        super().__init__("silent", f"open but silent for {limit_s:.0f} s")
        self.limit_s = limit_s


class FeedRefused(FeedLost):
    """The exchange refused the connection or request with an HTTP status.

    `blocked` means that it does not serve this place (403, 451), `failing` that it would but cannot now (5xx);
    `retry_after_s` is the time that it asked us to wait (418, 429).
    """

    def __init__(self, status: int, retry_after_s: float | None = None) -> None:
        wait = f", asks to wait {retry_after_s:.0f} s" if retry_after_s is not None else ""
        super().__init__(f"http_{status}", f"refused with HTTP {status}{wait}")
        self.status = status
        self.retry_after_s = retry_after_s
        self.blocked = status in {403, 451}
        self.failing = status >= 500
