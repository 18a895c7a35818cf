"""The markets that an exchange lists, by its answers so far. Pure."""

from market_pulse.messages import Symbol

from .adapter import Batch, Listed


class Listing:
    """The markets of one exchange. A market is gone when two answers in a row lack it, each read well where it would stand.

    `markets` is None while no answer has come.
    """

    def __init__(self) -> None:
        self.markets: dict[Symbol, Listed] | None = None
        self._missing: frozenset[Symbol] = frozenset()

    def take(self, answer: Batch[Listed]) -> bool:
        """Take an answer in. Return whether it lacks a market for the first time, so that it should soon be asked for again."""
        known = self.markets or {}
        listed = {one.symbol: one for one in answer}
        unreadable = {skipped.native for skipped in answer.skipped}
        lacking = known.keys() - listed.keys()
        # An entry that could not be read says nothing about its market; one without a name might be anyone's.
        in_doubt = {symbol for symbol in lacking if None in unreadable or known[symbol].native in unreadable}
        gone = (lacking - in_doubt) & self._missing
        self.markets = listed | {symbol: known[symbol] for symbol in lacking - gone}
        self._missing = frozenset(lacking - in_doubt - gone)
        return bool(self._missing)
