"""The visits that are measured: what each visitor's stream asks for, and from which server."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from urllib.parse import urlencode

from fanout.servers import GATEWAY, NCHAN, NODE, Server
from fanout.traffic import SYMBOLS, Group
from gateway.stream.fields import ALL
from market_pulse.messages import Symbol

TICKERS_HZ = 45
"""The tickers of each symbol a second, at 3,000 market events a second of four symbols."""
HOOK = tuple(name for name in ALL if name not in {"v", "sources"})
ELEMENT = ("price", "dp", "changePercent24h")
PAGE = (  # the page's cards, tiles and exchanges
    *ELEMENT,
    *("change24h", "low24h", "high24h", "volume24h", "quoteVolume24h", "confidence", "spreadBps"),
    *("sourcesUsed", "sourcesTotal", "exchangeTime"),
)
OPEN_HZ, HIDDEN_HZ = 4.0, 0.5
CHOICE = 14  # symbols, of which there are 1,001 sets of four
RENEWED_PER_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Many visitors of one kind.

    `symbols` is how many each follows. `fields`: None asks for all members of a ticker. `max_hz`: None asks for no limit.
    With `apart` each visitor follows symbols that no other visitor follows together. `renewed_per_s` is how many visitors leave
    and come a second.
    """

    name: str
    symbols: int
    server: Server = GATEWAY
    fields: tuple[str, ...] | None = None
    max_hz: float | None = None
    gzip: bool = False
    apart: bool = False
    renewed_per_s: float = 0.0

    @property
    def market(self) -> Sequence[Symbol]:
        """The symbols that are published."""
        return SYMBOLS[: CHOICE if self.apart else 4]

    @property
    def members(self) -> frozenset[str] | None:
        """The members of each ticker that it gets at least, or None for all."""
        return None if self.fields is None else frozenset(self.fields)

    def path(self, symbols: Sequence[Symbol]) -> str:
        """Return the path of a request for these symbols."""
        if self.server is not GATEWAY:
            return self.server.path(symbols)
        query: dict[str, str | float] = {"symbols": ",".join(symbols)}
        if self.fields is not None:
            query["fields"] = ",".join(self.fields)
        if self.max_hz is not None:
            query["max_hz"] = self.max_hz
        return f"/api/realtime?{urlencode(query, safe=',')}"

    def groups(self, count: int) -> list[Group]:
        """Return the streams of `count` visitors."""
        if not self.apart:
            return [Group(count=count, path=self.path(self.market[: self.symbols]), gzip=self.gzip)]
        sets = islice(combinations(self.market, self.symbols), count)
        return [Group(name=f"set{n}", count=1, path=self.path(one), gzip=self.gzip) for n, one in enumerate(sets)]


PLAIN = Visit(name="EventSource, four symbols", symbols=4)
HOOK_ONE = Visit(name="hook, one symbol", symbols=1, fields=HOOK, max_hz=OPEN_HZ, gzip=True)
HOOK_TWO = Visit(name="hook, two symbols", symbols=2, fields=HOOK, max_hz=OPEN_HZ, gzip=True)
ELEMENT_ONE = Visit(name="element, one symbol", symbols=1, fields=ELEMENT, max_hz=OPEN_HZ, gzip=True)
PAGE_FOUR = Visit(name="page, four symbols", symbols=4, fields=PAGE, max_hz=OPEN_HZ, gzip=True)
HIDDEN = Visit(name="page, hidden", symbols=4, fields=PAGE, max_hz=HIDDEN_HZ, gzip=True)
APART = Visit(name="page, each its own four symbols", symbols=4, fields=PAGE, max_hz=OPEN_HZ, gzip=True, apart=True)
RENEWED = Visit(
    name=f"page, {RENEWED_PER_S:.0f} come and go a second",
    symbols=4,
    fields=PAGE,
    max_hz=OPEN_HZ,
    gzip=True,
    renewed_per_s=RENEWED_PER_S,
)
VISITS = (
    PLAIN,
    Visit(name=PLAIN.name, symbols=4, gzip=True),
    HOOK_ONE,
    HOOK_TWO,
    ELEMENT_ONE,
    PAGE_FOUR,
    HIDDEN,
    *(Visit(name=one.name, symbols=one.symbols, fields=one.fields, max_hz=one.max_hz) for one in (HOOK_TWO, PAGE_FOUR)),
    APART,
    RENEWED,
    *(
        Visit(name=f"{count} symbol{'s' if count > 1 else ''}", symbols=count, server=server)
        for server in (NODE, NCHAN)
        for count in (1, 2, 4)
    ),
)
