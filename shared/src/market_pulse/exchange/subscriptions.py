"""The topics that a connection is subscribed to, and the next request to send to reach the wanted ones. Time is passed in."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .adapter import Acknowledged, Endpoint, Refused, Subscribed

ANSWER_LIMIT_S = 10.0
RETRY_UNKNOWN_S = (5.0, 300.0)
"""The first and the longest delay before asking again for an unknown topic; it doubles each time. It may become known soon, for
example if the exchange has just started."""
RETRY_LATER_S = 5.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the exchange. `sent_s` is when it was sent, by the connection's clock."""

    request_id: int
    kind: Literal["subscribe", "unsubscribe"]
    topics: tuple[str, ...]
    sent_s: float


class Subscriptions:
    """The state of each topic of one connection: a wanted topic is missing, asked for, live, or refused for now."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._keys: dict[str, str] = {}  # wanted topic -> key, in order of importance
        self._asked: dict[str, int] = {}  # topic -> id of the request that asked for it
        self._ending: dict[str, int] = {}  # topic -> id of the request that unsubscribed from it
        self._live: set[str] = set()
        self._refused: dict[str, float] = {}  # key -> when to ask again
        self._retry_s: dict[str, float] = {}  # key -> the delay before asking again if it is refused once more
        self._alone: set[str] = set()  # keys to ask for one by one, because a request for several was refused
        self._renewed: set[str] = set()  # live topics to unsubscribe from and then subscribe to again
        self._requests: dict[int, Request] = {}  # requests without a complete answer, by id
        self._last_id = 0
        self.unanswered = 0  # how many requests to subscribe were not answered in time

    def want(self, keys: Iterable[str]) -> None:
        """Set the keys (`key_of`) that this connection should carry, the most important first. Sends nothing itself."""
        self._keys = {topic: key for key in keys for topic in self._endpoint.topics(key)}

    @property
    def live(self) -> set[str]:
        """The wanted keys all of whose topics are live."""
        lacking = {key for topic, key in self._keys.items() if topic not in self._live}
        return set(self._keys.values()) - lacking

    @property
    def refused(self) -> set[str]:
        """The wanted keys that the exchange refused."""
        return self._refused.keys() & set(self._keys.values())

    def next_request(self, now_s: float) -> Request | None:
        """Return the next request to send, or None if there is nothing to ask for now. It counts as sent from now on."""
        surplus = [topic for topic in self._live if topic not in self._keys or topic in self._renewed]
        if surplus:
            topics = tuple(surplus[: self._endpoint.topics_per_request])
            self._live.difference_update(topics)
            self._renewed.difference_update(topics)
            request = self._new_request("unsubscribe", topics, now_s)
            self._ending.update(dict.fromkeys(topics, request.request_id))
            return request
        batch = self._next_batch(now_s)
        if not batch:
            return None
        request = self._new_request("subscribe", batch, now_s)
        self._asked.update(dict.fromkeys(batch, request.request_id))
        return request

    def _next_batch(self, now_s: float) -> tuple[str, ...]:
        batch: list[str] = []
        only: str | None = None
        for topic, key in self._keys.items():
            if topic in self._live or topic in self._asked or self._refused.get(key, 0.0) > now_s:
                continue
            if key in self._alone:
                if batch and only != key:
                    continue
                only = key
            elif only is not None:
                continue
            batch.append(topic)
            if len(batch) == self._endpoint.topics_per_request:
                break
        return tuple(batch)

    def _new_request(self, kind: Literal["subscribe", "unsubscribe"], topics: tuple[str, ...], now_s: float) -> Request:
        self._last_id += 1
        request = Request(self._last_id, kind, topics, now_s)
        self._requests[request.request_id] = request
        return request

    def acknowledged(self, answer: Acknowledged) -> None:
        """Note that the exchange accepted a request. An answer to an unknown request is ignored."""
        request = self._answered_by(answer)
        if request is None:
            return
        topics = request.topics if answer.topic is None else (answer.topic,)
        for topic in topics:
            if request.kind == "unsubscribe":
                self._ending.pop(topic, None)
            elif self._asked.pop(topic, None) is not None:
                self._live.add(topic)
                self._alone.discard(self._keys.get(topic, ""))
        self._close_when_done(request)

    def subscribed(self, answer: Subscribed) -> None:
        """Note all topics that are live on the socket. A topic that is asked for and not among them keeps waiting."""
        for topic in self._ending.keys() - answer.topics:
            del self._ending[topic]
        # A topic that is still to end was named before the exchange has read our request.
        self._live = set(answer.topics - self._ending.keys())
        for topic in self._live:
            self._asked.pop(topic, None)
            self._alone.discard(self._keys.get(topic, ""))
        for request in list(self._requests.values()):
            self._close_when_done(request)

    def refused_by(self, answer: Refused, now_s: float) -> str | None:
        """Note that the exchange refused a request. Return the key that it does not know, if that is certain."""
        request = self._answered_by(answer)
        if request is not None and request.kind == "unsubscribe":
            self._release(request)
            return None
        key = self._culprit(answer, request)
        if answer.kind == "already" and answer.topic is not None:
            self._asked.pop(answer.topic, None)
            self._live.add(answer.topic)
        elif answer.kind == "later":
            wait = self._topics_of(request) if answer.topic is None else (answer.topic,)
            self._refused.update({self._keys[topic]: now_s + RETRY_LATER_S for topic in wait if topic in self._keys})
        elif key is not None:
            self._unknown(key, now_s)
        elif request is not None:  # the refusal names no topic: ask for the symbols one by one to find the unknown one
            self._alone.update(self._keys[topic] for topic in request.topics if topic in self._keys)
        if answer.topic is not None:
            self._asked.pop(answer.topic, None)
        if request is not None and (answer.topic is None or self._endpoint.refusal_voids_request):
            self._release(request)
        elif request is not None:
            self._close_when_done(request)
        return key if answer.kind == "unknown" else None

    def delivered(self, key: str) -> None:
        """Note that data of a symbol arrived: its topics are live, even if the exchange has not acknowledged them."""
        self._refused.pop(key, None)
        self._retry_s.pop(key, None)
        for topic in self._endpoint.topics(key):
            if self._asked.pop(topic, None) is not None:
                self._live.add(topic)

    def again(self, key: str) -> None:
        """End a symbol's subscription and subscribe again. Subscribing again alone would be answered with `already`."""
        self._renewed.update(self._live.intersection(self._endpoint.topics(key)))

    def expire(self, now_s: float) -> None:
        """Give up requests that the exchange did not answer within ANSWER_LIMIT_S. Their topics are missing again."""
        for request in [one for one in self._requests.values() if now_s - one.sent_s > ANSWER_LIMIT_S]:
            if request.kind == "subscribe" and any(topic in self._asked for topic in request.topics):
                self.unanswered += 1
                # Perhaps only the answer was lost, so topics that are no longer wanted count as live and are unsubscribed from.
                self._live.update(topic for topic in request.topics if topic in self._asked and topic not in self._keys)
            self._release(request)

    def _answered_by(self, answer: Acknowledged | Refused) -> Request | None:
        """Return the request that an answer belongs to (see `Acknowledged`), or None if no request fits."""
        if answer.request_id is not None:
            return self._requests.get(_number(answer.request_id))
        if answer.topic is None:
            return next(iter(self._requests.values())) if len(self._requests) == 1 else None
        waiting = [waits[answer.topic] for waits in (self._asked, self._ending) if answer.topic in waits]
        return self._requests.get(min(waiting)) if waiting else None

    def _unknown(self, key: str, now_s: float) -> None:
        if self._refused.get(key, 0.0) > now_s:
            return  # another topic of the symbol was refused already
        first_s, longest_s = RETRY_UNKNOWN_S
        retry_s = self._retry_s.get(key, first_s)
        self._refused[key] = now_s + retry_s
        self._retry_s[key] = min(2 * retry_s, longest_s)

    def _culprit(self, answer: Refused, request: Request | None) -> str | None:
        if answer.topic is not None:
            return self._keys.get(answer.topic)
        keys = {self._keys[topic] for topic in self._topics_of(request) if topic in self._keys}
        return keys.pop() if len(keys) == 1 else None

    @staticmethod
    def _topics_of(request: Request | None) -> tuple[str, ...]:
        return request.topics if request is not None else ()

    def _release(self, request: Request) -> None:
        for topic in request.topics:
            for waits in (self._asked, self._ending):
                if waits.get(topic) == request.request_id:
                    del waits[topic]
        self._requests.pop(request.request_id, None)

    def _close_when_done(self, request: Request) -> None:
        waits = self._asked if request.kind == "subscribe" else self._ending
        if not any(waits.get(topic) == request.request_id for topic in request.topics):
            self._requests.pop(request.request_id, None)


def _number(request_id: str | None) -> int:
    """Return the request id that the exchange echoed as a number, or -1 if it cannot be one of ours."""
    return int(request_id) if request_id is not None and request_id.isdecimal() and len(request_id) < 16 else -1
