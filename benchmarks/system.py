"""Benchmarks run the same system of processes as the tests do: this makes the tests' support importable."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
