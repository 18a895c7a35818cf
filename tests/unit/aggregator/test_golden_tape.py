"""A recording of two and a half hours of a market with faults: the same ticks must make the same tickers."""

from itertools import islice

import pytest

from golden.expected import FILE, Expected
from golden.replay import messages
from golden.tape import TAPE, TICK, read_tape


@pytest.mark.timeout(600)
def test_the_tape_makes_the_tickers_that_were_recorded() -> None:
    """After a deliberate change of a rule, see CONTRIBUTING.md for how to compare and record the tickers."""
    expected = Expected.read()
    assert list(islice(expected.differences(messages()), 3)) == []
    assert len(expected) > 200_000


def test_the_tape_is_long_and_small() -> None:
    assert sum(event.kind == TICK for event in read_tape()) >= 200_000
    assert TAPE.stat().st_size + FILE.stat().st_size < 2_000_000
