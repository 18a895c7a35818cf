"""The faults that can be injected, where they apply, and the board of those that are on.

Pure: times are passed in, in Unix milliseconds.
"""

import copy
import math
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from .catalogue import EXCHANGES, ExchangeName
from .garble import Variety
from .market import Listing


class _Fault(BaseModel):
    """The fields of every fault: the exchange ("*" is all of them), and the time after which the fault ends by itself."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    exchange: ExchangeName | Literal["*"]
    for_s: float | None = Field(default=None, gt=0)

    def exchanges(self) -> tuple[ExchangeName, ...]:
        """Return the exchanges on which the fault is."""
        return EXCHANGES if self.exchange == "*" else (self.exchange,)


class _SymbolFault(_Fault):
    """A fault on one symbol or, if `symbol` is None, on all symbols of the exchange."""

    symbol: str | None = None


class Mute(_SymbolFault):
    """The socket stays open and answers, but data stops: all of it, or that of `channel`, given by its name on the wire."""

    kind: Literal["mute"]
    channel: str | None = None


class Refuse(_Fault):
    """Handshakes are answered with an error status. So are REST requests, unless `rest` is false.

    With `only`, nothing else than the REST requests for candles is refused.
    """

    kind: Literal["refuse"]
    status: Literal[400, 403, 418, 429, 451, 503] = 503
    retry_after_s: int | None = Field(default=None, ge=0)
    rest: bool = True
    only: Literal["candles"] | None = None


class HalfOpen(_Fault):
    """Sockets that are open now are no longer read or written. With `also_new`, sockets opened later are not either."""

    kind: Literal["half_open"]
    also_new: bool = False


class Clock(_Fault):
    """The exchange's clock is wrong: it is `ms` ahead of ours or, if negative, behind."""

    kind: Literal["clock"]
    ms: int


class Late(_SymbolFault):
    """A share of the messages is delayed, so these arrive with an old time, after newer messages."""

    kind: Literal["late"]
    ms: int = Field(gt=0, le=60_000)
    share: float = Field(default=1.0, gt=0, le=1)


class Spike(_SymbolFault):
    """All prices are multiplied by `factor`."""

    kind: Literal["spike"]
    factor: float = Field(gt=0, le=1e6)


class Garbage(_SymbolFault):
    """A share of the messages is replaced by messages that no exchange should send."""

    kind: Literal["garbage"]
    share: float = Field(default=1.0, gt=0, le=1)
    varieties: tuple[Variety, ...] | None = Field(default=None, min_length=1)


class Empty(_SymbolFault):
    """Optional figures are the empty string, and books have no levels."""

    kind: Literal["empty"]


class Duplicate(_SymbolFault):
    """Each message is sent twice, then its predecessor once more."""

    kind: Literal["duplicate"]


class Delist(_SymbolFault):
    """The symbol leaves the listing, and its messages stop."""

    kind: Literal["delist"]
    symbol: str


class NoOpen(_SymbolFault):
    """The price of 24 h ago is "0"."""

    kind: Literal["no_open"]


class NeverClosed(_SymbolFault):
    """The socket does not send the last message of a candle, which closes it."""

    kind: Literal["never_closed"]


class ClosedTwice(_SymbolFault):
    """The socket sends the message that closes a candle twice."""

    kind: Literal["closed_twice"]


class FewCandles(_SymbolFault):
    """The REST API returns only the newest `rows` of the candles that are asked for."""

    kind: Literal["few_candles"]
    rows: int = Field(ge=0, le=1000)


class OldCandles(_SymbolFault):
    """The REST API returns no candle that began in the last `age_s` seconds."""

    kind: Literal["old_candles"]
    age_s: int = Field(default=240, ge=1, le=3600)


class BareAck(_Fault):
    """Crypto.com acknowledges a subscription to candles in a message of its own, or by the first message with data."""

    kind: Literal["bare_ack"]
    exchange: Literal["cryptocom"] = "cryptocom"
    on: bool = True


class NestedErrors(_Fault):
    """Binance answers wrong requests with a nested error object (the default) or with the flat one in its documents."""

    kind: Literal["nested_errors"]
    exchange: Literal["binance"] = "binance"
    on: bool


CandleFault = NeverClosed | ClosedTwice | FewCandles | OldCandles | BareAck
StandingFault = (
    Mute | Refuse | HalfOpen | Clock | Late | Spike | Garbage | Empty | Duplicate | Delist | NoOpen | NestedErrors | CandleFault
)


class _Action(_Fault):
    """A fault that happens once, now."""

    for_s: None = None


class Cut(_Action):
    """All sockets are reset without a close frame."""

    kind: Literal["cut"]


class ServerShutdown(_Action):
    """Binance announces its shutdown, and closes a moment later."""

    kind: Literal["server_shutdown"]
    exchange: Literal["binance"] = "binance"
    close_after_s: float = Field(default=2.0, ge=0, le=3600)


class Notice64008(_Action):
    """OKX announces a service upgrade, and closes a minute later."""

    kind: Literal["notice_64008"]
    exchange: Literal["okx"] = "okx"
    close_after_s: float = Field(default=60.0, ge=0, le=3600)


class BybitRestart(_Action):
    """Bybit's order books start again at u=1."""

    kind: Literal["bybit_restart"]
    exchange: Literal["bybit"] = "bybit"
    symbol: str | None = None


class KrakenMaintenance(_Action):
    """Kraken announces maintenance on its status channel, sends no data from then on, and closes a moment later."""

    kind: Literal["kraken_maintenance"]
    exchange: Literal["kraken"] = "kraken"
    close_after_s: float = Field(default=2.0, ge=0, le=3600)


class BeginAnew(_Action):
    """Trade ids, update ids and sequences start again at 1, of one symbol or of all. Times go on."""

    kind: Literal["begin_anew"]
    symbol: str | None = None


class Burst(_Action):
    """Data stalls; then `n` messages come at once: the messages held back, filled up with new ones."""

    kind: Literal["burst"]
    n: int = Field(default=500, ge=1, le=20_000)
    stall_s: float = Field(default=2.0, ge=0, le=600)


class CorrectCandle(_Action):
    """A closed candle gets a late trade: the `ago`-th last minute with trades. With `push` the socket sends it again."""

    kind: Literal["correct_candle"]
    symbol: str
    ago: int = Field(default=1, ge=1, le=100)
    push: bool = False


OwnAction = ServerShutdown | Notice64008 | BybitRestart | KrakenMaintenance
"""An action that exists at one exchange only."""
Action = Cut | BeginAnew | Burst | CorrectCandle | OwnAction


_KNOWN: Final[TypeAdapter[StandingFault | Action]] = TypeAdapter(Annotated[StandingFault | Action, Field(discriminator="kind")])


def read_fault(body: bytes) -> StandingFault | Action:
    """Read a fault from JSON.

    Raises:
        pydantic.ValidationError: the JSON is not a known fault.
    """
    return _KNOWN.validate_json(body)


@dataclass(frozen=True, slots=True)
class Effects:
    """The combined effects of all faults on one symbol of one exchange."""

    mute: bool = False
    mute_channel: str | None = None
    delist: bool = False
    empty: bool = False
    duplicate: bool = False
    no_open: bool = False
    never_closed: bool = False
    closed_twice: bool = False
    few_rows: int | None = None
    old_ms: int = 0
    clock_ms: int = 0
    late_ms: int = 0
    late_share: float = 0.0
    factor: float = 1.0
    garbage_share: float = 0.0
    varieties: tuple[Variety, ...] | None = None

    def silence(self, channel: str) -> bool:
        """Return whether the faults stop the messages of a channel."""
        return self.mute or self.delist or self.mute_channel == channel

    def distort(self, listing: Listing) -> Listing:
        """Return the listing with its prices multiplied by `factor`."""
        if self.factor == 1.0:
            return listing
        seen = copy.copy(listing)
        step = 1 / seen.scale
        seen.factor = self.factor
        seen.bid = seen.to_tick(listing.bid * self.factor)
        seen.ask = max(seen.to_tick(listing.ask * self.factor), seen.bid + step)
        seen.last = seen.to_tick(listing.last * self.factor)
        seen.high24h, seen.low24h = max(listing.high24h, seen.last), min(listing.low24h, seen.last)
        return seen


NO_EFFECTS: Final = Effects()


@dataclass(frozen=True, slots=True)
class Standing:
    """A fault that is on, and its end in Unix milliseconds, infinity if it has none."""

    fault: StandingFault
    ends_ms: float


class FaultBoard:
    """The faults that are on."""

    def __init__(self) -> None:
        self._standing: list[Standing] = []
        self._effects: dict[tuple[ExchangeName, str], Effects] = {}
        self.next_end_ms = math.inf

    @property
    def standing(self) -> tuple[Standing, ...]:
        """The faults that are on now, the oldest first."""
        return tuple(self._standing)

    def add(self, fault: StandingFault, now_ms: int) -> None:
        """Turn a fault on. It replaces a fault of the same kind on the same exchange and symbol."""
        same = (fault.kind, fault.exchange, getattr(fault, "symbol", None))
        kept = [it for it in self._standing if _place(it.fault) != same]
        ends_ms = math.inf if fault.for_s is None else now_ms + fault.for_s * 1000
        self._set([*kept, Standing(fault, ends_ms)])

    def clear(self, exchange: str | None = None, kind: str | None = None) -> int:
        """Turn faults off: all, or those of an exchange or kind. Return how many. A fault on "*" belongs to every exchange."""
        kept = [
            it
            for it in self._standing
            if (exchange is not None and exchange not in it.fault.exchanges()) or (kind is not None and kind != it.fault.kind)
        ]
        cleared = len(self._standing) - len(kept)
        self._set(kept)
        return cleared

    def expire(self, now_ms: int) -> bool:
        """Turn off the faults whose time is over; return whether there were any."""
        if now_ms < self.next_end_ms:
            return False
        self._set([it for it in self._standing if it.ends_ms > now_ms])
        return True

    def of(self, exchange: ExchangeName, symbol: str) -> Effects:
        """Return the effects on a symbol of an exchange. Without any it is the object NO_EFFECTS itself."""
        if not self._standing:
            return NO_EFFECTS
        key = (exchange, symbol)
        found = self._effects.get(key)
        if found is None:
            found = self._effects[key] = self._read(exchange, symbol)
        return found

    def refusal(self, exchange: ExchangeName, *, of_candles: bool = False) -> Refuse | None:
        """Return the newest `refuse` fault of an exchange on a request, which may be for candles, or None if it is accepted."""
        refusals = (fault for fault in self._on(exchange) if isinstance(fault, Refuse))
        return next((fault for fault in refusals if of_candles or fault.only is None), None)

    def half_open(self, exchange: ExchangeName) -> HalfOpen | None:
        """Return the newest fault that freezes an exchange's sockets, or None."""
        return next((fault for fault in self._on(exchange) if isinstance(fault, HalfOpen)), None)

    def clock_ms(self, exchange: ExchangeName) -> int:
        """Return how many milliseconds an exchange's clock is ahead of ours."""
        return next((fault.ms for fault in self._on(exchange) if isinstance(fault, Clock)), 0)

    def nested_errors(self) -> bool:
        """Return whether Binance answers with nested error objects."""
        return next((fault.on for fault in self._on("binance") if isinstance(fault, NestedErrors)), True)

    def bare_ack(self) -> bool:
        """Return whether Crypto.com acknowledges a subscription to candles in a message of its own."""
        return next((fault.on for fault in self._on("cryptocom") if isinstance(fault, BareAck)), False)

    def _on(self, exchange: ExchangeName) -> list[StandingFault]:
        """Return an exchange's faults, the newest first."""
        return [it.fault for it in reversed(self._standing) if exchange in it.fault.exchanges()]

    def _set(self, standing: list[Standing]) -> None:
        self._standing = standing
        self._effects.clear()
        self.next_end_ms = min((it.ends_ms for it in standing), default=math.inf)

    def _read(self, exchange: ExchangeName, symbol: str) -> Effects:
        effects = NO_EFFECTS
        for fault in reversed(self._on(exchange)):
            if getattr(fault, "symbol", None) in {None, symbol}:
                effects = replace(effects, **_effect(fault))
        return NO_EFFECTS if effects == NO_EFFECTS else effects


_FLAGS: Final = frozenset(field.name for field in fields(Effects) if field.type is bool)


def _place(fault: StandingFault) -> tuple[str, str, str | None]:
    return fault.kind, fault.exchange, getattr(fault, "symbol", None)


def _effect(fault: StandingFault) -> dict[str, Any]:
    match fault:
        case Mute(channel=str(channel)):
            return {"mute_channel": channel}
        case Clock():
            return {"clock_ms": fault.ms}
        case Late():
            return {"late_ms": fault.ms, "late_share": fault.share}
        case FewCandles():
            return {"few_rows": fault.rows}
        case OldCandles():
            return {"old_ms": fault.age_s * 1000}
        case Spike():
            return {"factor": fault.factor}
        case Garbage():
            return {"garbage_share": fault.share, "varieties": fault.varieties}
        case _:
            return {fault.kind: True} if fault.kind in _FLAGS else {}
