"""Makes the package `support` of the tests importable, because benchmarks run the same processes as the tests do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
