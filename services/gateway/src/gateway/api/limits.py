"""How many streams may be open, in all and per client address."""

from collections import Counter

from starlette.types import Scope

from market_pulse.process.bounded_http import owner_of


class TooManyStreamsError(Exception):
    """There is no room for one more stream. `by_address` tells whether this client has too many, or all together."""

    def __init__(self, *, by_address: bool) -> None:
        super().__init__("too many streams from this address" if by_address else "too many streams")
        self.by_address = by_address


class Limits:
    """Counts open streams. Over a limit the new one is refused; an open one is never cut for it."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._open: Counter[str] = Counter()
        self._total = 0  # of all in `_open`, which may be ten thousand addresses

    def take(self, address: str) -> str:
        """Count one more stream and return what `give_back` has to be told when it is gone.

        Raises:
            TooManyStreamsError: there is no room.
        """
        owner = owner_of(address)
        if self._open[owner] >= self._most_per_address:
            raise TooManyStreamsError(by_address=True)
        if self._total >= self._most:
            raise TooManyStreamsError(by_address=False)
        self._open[owner] += 1
        self._total += 1
        return owner

    def give_back(self, owner: str) -> None:
        """Count one stream less."""
        self._open[owner] -= 1
        self._total -= 1
        if not self._open[owner]:
            del self._open[owner]


def client_of(scope: Scope) -> str:
    """Return the address that a request comes from."""
    client = scope.get("client")
    return client[0] if client else "local"
