"""All candles of one symbol. Tickers, exchanges' candles and history go in; candles to publish come out. Pure.

All times are Unix milliseconds by Redis's clock, except those in tickers.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from market_pulse.messages import Bar, Candle, Interval, Symbol, bar_of

from .combine import NO_VOLUMES, Share, Volumes, fold, volumes_of, vwap
from .live import Heard, Live, resumed
from .past import LONGER, MINUTE, SPARE, Past
from .track import Track

WAIT_MS = 3_000
"""A minute that is over waits so long for the exchanges' volumes. One without a later ticker ends so long after its end."""
FAR_MS = 5_000
"""Two right clocks never differ by more. A ticker that is further from Redis's clock is dated by Redis's clock."""
PATIENCE_MS = 15_000
"""An hour or a day whose first minute is not known waits so long for history before it is published."""
SHARES_FOR_MS = 600_000
"""The exchanges' candles of a minute are remembered so long, so that late ones can correct it."""
MOST_EXCHANGES = 64
MOST_PENDING = 100
"""So many closed candles wait while Redis does not answer. All are kept as bars later."""


class Series:
    """The candles of one symbol.

    `past` has the closed ones. `listening_ms` is since when this process has heard the symbol's tickers without a gap.
    """

    def __init__(self, symbol: Symbol, now_ms: int) -> None:
        self.symbol = symbol
        self.past = Past()
        self.listening_ms = now_ms
        self._wanted_ms = now_ms
        self._tracks = {interval: Track(interval.step_ms) for interval in Interval}
        self._shares: dict[int, dict[str, Share]] = {}
        self._floor_ms = 0  # no ticker goes to a minute before this one
        self._seq = 0  # of the newest ticker heard
        self._unpriced = 0  # how many tickers without a live price were heard since the last one with a live price
        # How many were not heard since then, at most; 1 if that is not known.
        self._unheard = 1
        self._closed: list[Candle] = []
        # A hash of the exchanges' history of each start, because the same history is read repeatedly.
        self._learnt: dict[Interval, dict[int, int]] = {interval: {} for interval in Interval}

    @property
    def newest_ms(self) -> int:
        """When the newest minute began that a ticker was heard in; when the symbol became wanted, if that is later."""
        return max(self._floor_ms, self._wanted_ms)

    def hear(self, heard: Heard, now_ms: int, since_ms: int | None = None) -> None:
        """Take a ticker that has just arrived. One that has been heard before is ignored.

        `since_ms` is since when this process or Redis stood still, if it did. The ticker may be as old as that.
        """
        if heard.seq <= self._seq:
            return
        if self._seq:
            self._unheard += heard.seq - self._seq - 1
        self._seq = heard.seq
        if not heard.is_live or heard.price is None:
            self._unpriced += 1
            return
        time_ms = heard.aggregated_time_ms
        earliest_ms = now_ms if since_ms is None else min(since_ms, now_ms)
        if not earliest_ms - FAR_MS <= time_ms <= now_ms + FAR_MS:
            time_ms = now_ms
        if self._floor_ms > now_ms + FAR_MS:  # Redis's clock was set back
            self._floor_ms = 0
            for track in self._tracks.values():
                track.forget_after(now_ms)
        self._floor_ms = max(self._floor_ms, MINUTE.start_of(time_ms))
        received_ms = heard.received_time_ms or now_ms
        for interval, track in self._tracks.items():
            # History fills in the beginning of an hour or a day.
            has_beginning = interval is not MINUTE or self.listening_ms <= self._floor_ms
            lacking = 0 if has_beginning else self._unheard
            track.add(self._floor_ms, heard.price, heard.seq, self._unpriced, received_ms, self._unheard, lacking)
        self._unpriced = self._unheard = 0

    def hear_exchange(self, exchange: str, candle: Candle, now_ms: int) -> None:
        """Take an exchange's candle of a minute. An older state of one that is known is ignored."""
        start_ms = candle.start_ms
        if candle.interval is not MINUTE or start_ms != MINUTE.start_of(start_ms) or abs(start_ms - now_ms) > SHARES_FOR_MS:
            return
        shares = self._shares.setdefault(start_ms, {})
        known = shares.get(exchange)
        if known is None:
            if len(shares) >= MOST_EXCHANGES:
                return
        elif (candle.closed, candle.revision) < (known.is_closed, known.bar.revision):
            return
        is_closed = candle.closed
        shares[exchange] = Share(bar_of(candle), candle.buy_volume, is_closed)
        if is_closed and self.past.get(MINUTE, start_ms) is not None:
            self._correct(start_ms)

    def learn(self, interval: Interval, bars: Mapping[str, Iterable[Bar]], now_ms: int) -> None:
        """Take the exchanges' past candles. Those that are not closed yet are ignored."""
        by_start: dict[int, dict[str, Bar]] = {}
        known = self._learnt[interval]
        for exchange, found in bars.items():
            for bar in found:
                if bar.start_ms + interval.step_ms <= now_ms and bar.start_ms == interval.start_of(bar.start_ms):
                    by_start.setdefault(bar.start_ms, {})[exchange] = bar
        for start_ms, parts in sorted(by_start.items()):
            told = hash(frozenset(parts.items()))
            if known.get(start_ms) == told:
                continue
            if interval is MINUTE and (shares := self._shares.get(start_ms)) is not None:
                for exchange, bar in parts.items():
                    share = shares.get(exchange)
                    if share is None or not share.is_closed or (share.bar != bar and share.bar.revision <= bar.revision):
                        shares[exchange] = Share(bar, None, is_closed=True)
                if self.past.get(MINUTE, start_ms) is not None:
                    self._correct(start_ms)
                    continue
            if self._tracks[interval].find(start_ms) is None:
                known[start_ms] = told
                self.past.learn(interval, start_ms, parts)
                if interval is MINUTE:
                    self._name(start_ms, parts)
        while len(known) > interval.kept + SPARE:
            del known[min(known)]
        self._publish_corrections()

    def resume(self, interval: Interval, bars: Iterable[Bar], last: Iterable[Candle]) -> None:
        """Go on from the candles that Redis has kept: closed ones, and the newest two candles, the older one first."""
        for bar in bars:
            self.past.resume(interval, bar)
        for candle in last:
            if candle.first_seq is None or candle.last_seq is None:
                continue
            if not candle.closed:
                live = resumed(candle)
                if live is not None:
                    self._tracks[interval].resume(live)
                    self._floor_ms = max(self._floor_ms, MINUTE.start_of(live.start_ms))
            newest = self._tracks[interval].open
            if newest is not None and newest.lacking and newest.first_seq > candle.last_seq:
                newest.lacking = newest.first_seq - candle.last_seq - 1
            if candle.last_seq > self._seq:
                self._seq, self._unheard = candle.last_seq, 0

    def advance(self, now_ms: int) -> None:
        """Close what is to be closed now."""
        minutes = self._tracks[MINUTE]
        for interval, track in self._tracks.items():
            # If this process could not listen, the next ticker tells whether the end of the candle was heard.
            if track.open is not None and now_ms >= max(track.open.end_ms, self.listening_ms) + WAIT_MS:
                self._floor_ms = max(self._floor_ms, MINUTE.start_of(track.open.end_ms))
                track.end()
            for start_ms in sorted(track.over):
                live = track.over[start_ms]
                if interval is MINUTE and self._has_volumes(live, now_ms):
                    self._close_minute(track.close(start_ms))
                elif interval is not MINUTE and not minutes.between(start_ms, live.end_ms):
                    self._close_longer(interval, track.close(start_ms))
        if self._shares and min(self._shares) < now_ms - SHARES_FOR_MS:
            self._shares = {start_ms: one for start_ms, one in self._shares.items() if start_ms >= now_ms - SHARES_FOR_MS}

    def take_closed(self) -> list[Candle]:
        """Return the closed candles to publish, the oldest first, and forget them."""
        closed, self._closed = self._closed, []
        return closed

    def put_back(self, closed: list[Candle]) -> None:
        """Take closed candles back that could not be published. The newest MOST_PENDING are tried again."""
        self._closed = (closed + self._closed)[-MOST_PENDING:]

    def open_candle(self, interval: Interval, now_ms: int) -> Candle | None:
        """Return the open candle, or None if nothing was heard in it or too little of it is known yet."""
        live = self._tracks[interval].open
        if live is None:
            return None
        if interval is MINUTE:
            return self._candle(MINUTE, self._minute(live), live, closed=False)
        minutes = self._tracks[MINUTE]
        is_known_from_start = self.past.get(MINUTE, live.start_ms) or minutes.find(live.start_ms)
        if not is_known_from_start and now_ms < self._wanted_ms + PATIENCE_MS:
            return None
        folded = self.past.folded(interval, live.start_ms)
        bars = [] if folded is None else [folded]
        for minute in minutes.between(live.start_ms, live.end_ms):
            bars.append(self._minute(minute))
            self._name(minute.start_ms, self._shares.get(minute.start_ms, {}))
        return self._candle(interval, fold(live.start_ms, bars), live, closed=False) if bars else None

    def adopt(self, known: Candle) -> None:
        """Take a candle as Redis has it after a publication: merged with other copies'."""
        live = self._tracks[known.interval].open
        if live is not None and live.start_ms == known.start_ms:
            live.take_beginning(known)
        elif known.closed:
            self.past.adopt(known.interval, bar_of(known))

    def _minute(self, live: Live) -> Bar:
        volumes = volumes_of(self._shares.get(live.start_ms, {}).values())
        return Bar(
            live.start_ms,
            live.open,
            live.high,
            live.low,
            live.close,
            volumes.volume,
            volumes.quote_volume,
            volumes.trades,
            missed=live.missed,
        )

    def _has_volumes(self, live: Live, now_ms: int) -> bool:
        """Return whether a minute that is over has the closed candle of each exchange that has had one lately."""
        if now_ms >= live.end_ms + WAIT_MS:
            return True
        shares = self._shares.get(live.start_ms, {})
        expected = shares.keys() | self._shares.get(live.start_ms - MINUTE.step_ms, {}).keys()
        return bool(expected) and all(name in shares and shares[name].is_closed for name in expected)

    def _close_minute(self, live: Live) -> None:
        shares = self._shares.get(live.start_ms, {})
        self._name(live.start_ms, shares)
        bar = self.past.close(MINUTE, self._minute(live), is_whole=not live.lacking, exchanges=len(shares))
        if bar is not None:
            self._closed.append(self._candle(MINUTE, bar, live, closed=True))
        if self.past.awaits_exchanges(live.start_ms):
            self._correct(live.start_ms)

    def _close_longer(self, interval: Interval, live: Live) -> None:
        minutes = self.past.minutes(interval, live.start_ms)
        if not minutes:
            return
        made = fold(live.start_ms, minutes)
        if made.missed is not None:
            made = replace(made, missed=live.missed)  # which also counts those between two minutes
        bar = self.past.close(interval, made, is_whole=len(minutes) == interval.step_ms // MINUTE.step_ms)
        if bar is not None:
            self._closed.append(self._candle(interval, bar, live, closed=True))

    def _name(self, minute_ms: int, exchanges: Iterable[str]) -> None:
        """Note whose volumes are in the hour and the day of a minute."""
        for longer in LONGER:
            live = self._tracks[longer].find(minute_ms)
            if live is not None:
                live.exchanges |= set(exchanges)

    def _correct(self, start_ms: int) -> None:
        """Make a closed minute again from the exchanges' candles: all of it if our own prices lack its beginning."""
        shares = self._shares.get(start_ms, {})
        closed = {name: share.bar for name, share in shares.items() if share.is_closed}
        if not closed:
            return
        if self.past.awaits_exchanges(start_ms):
            if len(closed) == len(shares):
                self.past.learn(MINUTE, start_ms, closed)
        else:
            self.past.correct_volumes(start_ms, volumes_of(shares.values()), len(shares))
        self._publish_corrections()

    def _publish_corrections(self) -> None:
        """Queue those corrections for publication whose live candle is remembered. Older ones are only kept."""
        corrected, self.past.corrected = self.past.corrected, []
        for interval, start_ms in dict.fromkeys(corrected):
            bar, live = self.past.get(interval, start_ms), self._tracks[interval].recent.get(start_ms)
            if bar is None or live is None:
                continue
            self.past.added[interval].pop(start_ms, None)
            self._closed.append(self._candle(interval, bar, live, closed=True))

    def _candle(self, interval: Interval, bar: Bar, live: Live, *, closed: bool) -> Candle:
        exchanges, volumes = live.exchanges, NO_VOLUMES
        if interval is MINUTE and (shares := self._shares.get(bar.start_ms)):
            exchanges, volumes = frozenset(shares), volumes_of(shares.values())
        is_live = bar.missed is not None
        # A minute from history holds no ticker. An hour that is partly from history holds those of its other minutes.
        has_tickers = is_live or interval is not MINUTE
        return Candle(
            symbol=self.symbol,
            interval=interval,
            start_ms=bar.start_ms,
            end_ms=bar.start_ms + interval.step_ms,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
            quote_volume=bar.quote_volume,
            vwap=vwap(bar.volume, bar.quote_volume),
            trades=bar.trades,
            buy_volume=_buy_volume(bar, volumes),
            closed=closed,
            revision=bar.revision,
            origin="live" if is_live else "exchanges",
            exchanges=tuple(sorted(exchanges)),
            first_seq=live.first_seq if has_tickers else None,
            last_seq=live.last_seq if has_tickers else None,
            seen=live.seen if has_tickers else None,
            missed=live.missed if has_tickers else None,
            received_time_ms=live.received_ms,
        )


def _buy_volume(bar: Bar, volumes: Volumes) -> float | None:
    """Return how much was bought, if the volumes are those of the candle."""
    return volumes.buy_volume if volumes.volume == bar.volume else None
