"""The members of a ticker that streams ask for: which ones each stream gets, and how a ticker is cut down to them. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec
from msgspec import Raw

from market_pulse.messages import Ticker

Fields = frozenset[str] | None
"""The names of members as they are in JSON; None stands for all members, those that a newer aggregator adds included."""

ALL = tuple(member.encode_name for member in msgspec.structs.fields(Ticker))
ALWAYS = frozenset({"v", "symbol", "seq", "quality", "receivedTime", "aggregatedTime", "publisher"})
"""The members that always come. A client judges a ticker's order, age and quality by them."""
MOST_SETS = 32

_members = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def wish_for(names: Iterable[str], more: Collection[str] = ()) -> frozenset[str]:
    """Return the members to send to a client that asks for these. `more` are members that are not in a message of the bus.

    Raises:
        ValueError: a name is not a ticker's member. The text names it.
    """
    wished = frozenset(names)
    for name in sorted(wished - {*ALL, *more} - ALWAYS):
        raise ValueError(f"a ticker has no {name[:40]!r} here: name some of {', '.join((*ALL, *more))}")
    return wished | ALWAYS


def cut_down(ticker: bytes, fields: Fields) -> bytes:
    """Return a ticker's JSON with only these members, in the same order and with the same bytes."""
    if fields is None:
        return ticker
    return _encode({name: value for name, value in _members(ticker).items() if name in fields})


class FieldSets:
    """The sets of members that open streams get. There are at most MOST_SETS, because each is encoded for itself."""

    def __init__(self) -> None:
        self._used: Counter[Fields] = Counter({None: 1})  # how often each is taken; the set of all members is always there

    def __len__(self) -> int:
        return len(self._used)

    def take(self, wish: Fields) -> Fields:
        """Return the set that a stream with this wish gets. At MOST_SETS it is the smallest known one that holds the wish."""
        if wish not in self._used and len(self._used) >= MOST_SETS:
            holding = [known for known in self._used if known is not None and wish is not None and wish < known]
            wish = min(holding, key=lambda known: (len(known), sorted(known)), default=None)
        self._used[wish] += 1
        return wish

    def give_back(self, fields: Fields) -> None:
        """Note that a stream with this set has ended."""
        self._used[fields] -= 1
        if not self._used[fields]:
            del self._used[fields]
