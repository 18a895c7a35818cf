"""Bounds on the answers that are open at the same time, and on their unread bytes, in total and per client address.

An answer is open from its request until the kernel has taken all of it. Streams do not count: they have limits of their own.
"""

from collections.abc import Callable, Mapping
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.server.protocol import cutter, taker
from gateway.stream.stats import Stats
from market_pulse.process.bounded_http import owner_of

from .compression import SHARED, SharedBody
from .problems import RETRY_AFTER_S, ProblemError, problem_response

PROBES = frozenset({"/livez", "/readyz", "/healthz"})  # a hundred bytes each
MOST_UNREAD_BYTES, MOST_UNREAD_BYTES_PER_ADDRESS = 8 << 20, 2 << 20


class SharedResponse(Response):
    """A response whose body is kept in memory for all clients, plain and compressed."""

    def __init__(self, shared: SharedBody, headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(shared.plain, headers=headers, media_type=media_type)
        self._shared = shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the response."""
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers, SHARED: self._shared}
        await send(start)
        await send({"type": "http.response.body", "body": self.body})


class TooManyAnswersError(Exception):
    """There is no room for another answer. `by_address` is true if this address has too many, false if all together do."""

    def __init__(self, *, by_address: bool) -> None:
        super().__init__("too many requests from this address" if by_address else "too many requests right now")
        self.by_address = by_address


class Answer:
    """One open answer. `cut` ends its connection. `begun` is true once the answer is being written."""

    __slots__ = ("begun", "cut", "owner", "size")

    def __init__(self, owner: str, cut: Callable[[], None]) -> None:
        self.owner, self.cut = owner, cut
        self.size = 0
        self.begun = False


class OpenAnswers:
    """Counts open answers and their bytes, and how many of them were cut to make room for others.

    If an address reaches its own bound, its new answer is refused. If all addresses together reach a bound, the address with
    the most loses its oldest unread answer, so that a client that does not read cannot keep others away.
    """

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most, self._most_per_address = most, most_per_address
        self._open: dict[str, dict[Answer, None]] = {}
        self._bytes: dict[str, int] = {}
        self.count = self.bytes = self.cut = 0

    def take(self, address: str, cut: Callable[[], None]) -> Answer:
        """Count one more answer. Its caller passes it to `give_back` when it is no longer open.

        Raises:
            TooManyAnswersError: there is no room for it.
        """
        answer = Answer(owner_of(address), cut)
        of_owner = self._open.get(answer.owner, {})
        if len(of_owner) >= self._most_per_address:
            raise TooManyAnswersError(by_address=True)
        if self.count >= self._most and not self._cut_one(max(self._open, key=lambda owner: len(self._open[owner]))):
            raise TooManyAnswersError(by_address=False)
        self._open.setdefault(answer.owner, of_owner)[answer] = None
        self.count += 1
        return answer

    def begin(self, answer: Answer, size: int) -> None:
        """Count the bytes of an answer that is about to be written.

        Raises:
            TooManyAnswersError: there is no room for its bytes.
        """
        if size and self._bytes.get(answer.owner, 0) + size > MOST_UNREAD_BYTES_PER_ADDRESS:
            raise TooManyAnswersError(by_address=True)
        while size and self.bytes + size > MOST_UNREAD_BYTES:
            if not self._cut_one(max(self._bytes, key=self._bytes.__getitem__)):
                raise TooManyAnswersError(by_address=False)
        answer.begun = True
        answer.size = size
        self.bytes += size
        self._bytes[answer.owner] = self._bytes.get(answer.owner, 0) + size

    def give_back(self, answer: Answer) -> None:
        """Stop counting an answer. Calling it again does nothing."""
        of_owner = self._open.get(answer.owner, {})
        if answer not in of_owner:
            return
        del of_owner[answer]
        self.count -= 1
        self.bytes -= answer.size
        if of_owner:
            self._bytes[answer.owner] = self._bytes.get(answer.owner, 0) - answer.size
        else:
            del self._open[answer.owner]
            self._bytes.pop(answer.owner, None)

    def _cut_one(self, owner: str) -> bool:
        """Cut an address's oldest unread answer. Return whether there was one."""
        oldest = next((answer for answer in self._open[owner] if answer.begun), None)
        if oldest is not None:
            self.give_back(oldest)
            self.cut += 1
            oldest.cut()
        return oldest is not None


class BoundAnswers:
    """An ASGI layer that refuses requests for which there is no room, and requests with a body.

    Probes are always answered: without an answer a proxy takes this process for dead, and cuts its streams.
    """

    def __init__(self, app: ASGIApp, answers: OpenAnswers, stats: Stats) -> None:
        self._app, self._answers, self._stats = app, answers, stats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and _has_body(scope):
            refusal = ProblemError(413, "no_body", "no request here has a body")
            await problem_response(Request(scope), refusal)(scope, receive, send)
            return
        cut, when_taken = cutter(scope), taker(scope)
        if cut is None or when_taken is None or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        try:
            answer = self._answers.take(client[0] if client else "local", cut)
        except TooManyAnswersError as full:
            await self._refuse(full, scope, receive, send)
            return
        when_taken(partial(self._answers.give_back, answer))
        instead = False  # whether a refusal was sent in place of the application's answer

        async def send_counted(message: Message) -> None:
            nonlocal instead
            if message["type"] == "http.response.start":
                try:
                    self._answers.begin(answer, 0 if scope["method"] == "HEAD" or message.get(SHARED) else _length(message))
                except TooManyAnswersError as full:
                    instead = True
                    await self._refuse(full, scope, receive, send)
            if not instead:
                await send(message)

        await self._app(scope, receive, send_counted)

    async def _refuse(self, full: TooManyAnswersError, scope: Scope, receive: Receive, send: Send) -> None:
        self._stats.answers_refused["address" if full.by_address else "total"] += 1
        status, code = (429, "too_many_requests") if full.by_address else (503, "busy")
        refusal = ProblemError(status, code, str(full), retry_after_s=RETRY_AFTER_S)
        await problem_response(Request(scope), refusal)(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    """Return whether a request has a body."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")) for name, value in scope["headers"]
    )


def _length(message: Message) -> int:
    """Return an answer's Content-Length, or 0 for a stream, which has none."""
    return next((int(value) for name, value in message["headers"] if name.lower() == b"content-length"), 0)
