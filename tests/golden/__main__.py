"""Compare and record the golden tape's tickers.

make golden                                                 both of these, against the last commit
PYTHONPATH=tests .venv/bin/python -m golden compare HEAD    show which rule makes which tickers differ from a revision's
PYTHONPATH=tests .venv/bin/python -m golden record HEAD     the same, and record the tickers of the present code
"""

import sys

from golden.compare import OTHER, Comparison, tickers_of
from golden.expected import FILE, Expected
from golden.replay import messages


def main(command: str = "", revision: str = "HEAD") -> int:
    if command not in {"compare", "record"}:
        print(__doc__, file=sys.stderr)
        return 64
    comparison = Comparison()
    with tickers_of(revision) as before:
        expected = Expected.of(comparison.of(before, messages()))
    print(comparison.table())
    if command == "record":
        expected.write()
        print(f"{len(expected)} tickers, {FILE.stat().st_size} bytes")
    return OTHER in comparison.classes


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
