"""The closed candles of one symbol, and the rules by which others replace them. Pure.

A candle of our own prices is complete if its beginning was heard, or, for an hour or a day, if all of its minutes are known.
History never replaces a complete one. It replaces all others, and fills in those that are not there.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from market_pulse.messages import Bar, Interval

from .combine import Volumes, fold, weighted

MINUTE = Interval.MINUTE
LONGER = (Interval.HOUR, Interval.DAY)
SPARE = 60
"""So many more are remembered than are kept, so that a day that has just ended still has all of its minutes."""


class Past:
    """The closed candles of one symbol. Candles in `corrected` are to be published, and those in `added` only to be kept.

    A correction has the next revision.
    """

    def __init__(self) -> None:
        self.bars: dict[Interval, dict[int, Bar]] = {interval: {} for interval in Interval}
        self.added: dict[Interval, dict[int, Bar]] = {interval: {} for interval in Interval}
        self.corrected: list[tuple[Interval, int]] = []
        # Live ones that lack a part, which history replaces.
        self._partial: dict[Interval, set[int]] = {interval: set() for interval in Interval}
        # How many exchanges each candle from history is made of: with fewer it would be worse.
        self._made_of: dict[Interval, dict[int, int]] = {interval: {} for interval in Interval}
        self._folds: dict[Interval, tuple[int, Bar | None]] = {}

    def get(self, interval: Interval, start_ms: int) -> Bar | None:
        """Return a closed candle, or None if it is not known."""
        return self.bars[interval].get(start_ms)

    def resume(self, interval: Interval, bar: Bar) -> None:
        """Take a candle that Redis has kept, unless a newer one is known."""
        known = self.get(interval, bar.start_ms)
        if known is None or known.revision < bar.revision:
            self._put(interval, bar)

    def close(self, interval: Interval, bar: Bar, *, is_whole: bool, exchanges: int = 0) -> Bar | None:
        """Take a live candle that has just closed, with the number of exchanges whose volumes are in it.

        Return it with its revision, or None if what is known is better.
        """
        known = self.get(interval, bar.start_ms)
        if known is not None:
            if replace(bar, revision=known.revision) == known:
                return known
            if not is_whole or known.missed is not None:
                return None
            bar = replace(bar, revision=known.revision + 1)
        if not is_whole:
            self._partial[interval].add(bar.start_ms)
        self._made_of[interval][bar.start_ms] = exchanges
        self._put(interval, bar)
        return bar

    def adopt(self, interval: Interval, bar: Bar) -> None:
        """Take a closed candle as Redis has it after a publication: merged with other copies'."""
        known = self.get(interval, bar.start_ms)
        if known is None or bar.revision >= known.revision:
            if bar.missed is None or known is None:
                self._partial[interval].discard(bar.start_ms)
            self._put(interval, bar)

    def learn(self, interval: Interval, start_ms: int, parts: Mapping[str, Bar]) -> None:
        """Take the exchanges' closed candles of one start, at least one. They may come late, in pieces, twice, corrected."""
        known = self.get(interval, start_ms)
        is_partial = start_ms in self._partial[interval]
        if known is not None and known.missed is not None and not is_partial:
            if interval is MINUTE:
                made = weighted(parts)
                self.correct_volumes(start_ms, Volumes(made.volume, made.quote_volume, made.trades, None), len(parts))
            return
        if interval is not MINUTE and self._has_all_minutes(interval, start_ms):
            return
        if not is_partial and len(parts) < self._made_of[interval].get(start_ms, 0):
            return
        self._made_of[interval][start_ms] = len(parts)
        self._partial[interval].discard(start_ms)
        self._replace(interval, weighted(parts))

    def correct_volumes(self, start_ms: int, volumes: Volumes, exchanges: int) -> None:
        """Take the volumes of a closed live minute from a number of exchanges.

        Those of fewer exchanges than before are ignored. If it is not known how many there were, smaller volumes are ignored.
        """
        known, before = self.get(MINUTE, start_ms), self._made_of[MINUTE].get(start_ms)
        if known is None or volumes.volume is None or (before is not None and exchanges < before):
            return
        if before is None and known.volume is not None and volumes.volume <= known.volume:
            return
        self._made_of[MINUTE][start_ms] = exchanges
        self._replace(
            MINUTE,
            replace(known, volume=volumes.volume, quote_volume=volumes.quote_volume, trades=volumes.trades),
        )

    def awaits_exchanges(self, start_ms: int) -> bool:
        """Return whether a closed minute is not made of our own prices alone, or lacks its beginning."""
        known = self.get(MINUTE, start_ms)
        return known is not None and (known.missed is None or start_ms in self._partial[MINUTE])

    def take_added(self, interval: Interval) -> list[Bar]:
        """Return the closed candles that are to be kept and not published, and forget that they are."""
        added, self.added[interval] = self.added[interval], {}
        return list(added.values())

    def put_back(self, interval: Interval, bars: list[Bar]) -> None:
        """Take candles back that could not be kept."""
        self.added[interval] = {bar.start_ms: bar for bar in bars} | self.added[interval]

    def newest(self, interval: Interval) -> list[Bar]:
        """Return as many of the newest closed candles as Redis keeps, in order."""
        bars = self.bars[interval]
        return [bars[start_ms] for start_ms in sorted(bars)[-interval.kept :]]

    def minutes(self, interval: Interval, start_ms: int) -> list[Bar]:
        """Return the known minutes of a longer interval, in order."""
        known = self.bars[MINUTE]
        starts = range(start_ms, start_ms + interval.step_ms, MINUTE.step_ms)
        return [known[minute_ms] for minute_ms in starts if minute_ms in known]

    def folded(self, interval: Interval, start_ms: int) -> Bar | None:
        """Return the closed minutes of a longer interval as one candle, or None if no minute is known."""
        found = self._folds.get(interval)
        if found is None or found[0] != start_ms:
            minutes = self.minutes(interval, start_ms)
            found = self._folds[interval] = (start_ms, fold(start_ms, minutes) if minutes else None)
        return found[1]

    def _has_all_minutes(self, interval: Interval, start_ms: int) -> bool:
        known = self.bars[MINUTE]
        steps = range(start_ms, start_ms + interval.step_ms, MINUTE.step_ms)
        return steps[-1] in known and all(minute_ms in known for minute_ms in steps)

    def _replace(self, interval: Interval, made: Bar) -> None:
        known = self.get(interval, made.start_ms)
        if known is None:
            self._put(interval, made)
            self.added[interval][made.start_ms] = made
        elif replace(made, revision=known.revision) != known:
            bar = replace(made, revision=known.revision + 1)
            self._put(interval, bar)
            self.added[interval][made.start_ms] = bar
            self.corrected.append((interval, made.start_ms))
        else:
            return
        if interval is MINUTE:
            self._derive(made.start_ms)

    def _derive(self, minute_ms: int) -> None:
        """Make the closed hour and day of a changed minute again, if all of their minutes are known."""
        for longer in LONGER:
            start_ms = longer.start_of(minute_ms)
            if self._has_all_minutes(longer, start_ms):
                self._partial[longer].discard(start_ms)
                made, known = fold(start_ms, self.minutes(longer, start_ms)), self.get(longer, start_ms)
                if known is not None and None not in (known.missed, made.missed):
                    made = replace(made, missed=known.missed)  # which also counts those between two minutes
                self._replace(longer, made)

    def _put(self, interval: Interval, bar: Bar) -> None:
        bars = self.bars[interval]
        bars[bar.start_ms] = bar
        if len(bars) > interval.kept + SPARE:
            oldest = min(bars)
            del bars[oldest]
            self._partial[interval].discard(oldest)
            self._made_of[interval].pop(oldest, None)
        if interval is MINUTE:
            self._folds = {one: fold for one, fold in self._folds.items() if fold[0] != one.start_of(bar.start_ms)}
