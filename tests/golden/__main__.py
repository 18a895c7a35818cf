"""The golden tape by hand.

PYTHONPATH=tests .venv/bin/python -m golden record    keep what the tape's tickers are now
PYTHONPATH=tests .venv/bin/python -m golden check     say which are others than those that were kept
"""

import sys
from itertools import islice

from golden.expected import FILE, Expected
from golden.replay import messages


def main(command: str) -> int:
    if command == "record":
        expected = Expected.of(messages())
        expected.write()
        print(f"{len(expected)} tickers, {FILE.stat().st_size} bytes")
        return 0
    if command == "check":
        found = list(islice(Expected.read().differences(messages()), 5))
        print("\n".join(found) or "all as they were")
        return len(found)
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or [""]))
