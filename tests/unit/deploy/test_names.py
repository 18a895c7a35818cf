"""The code names an exchange only in the exchange's own folders, so a new exchange needs no change elsewhere.

The benchmarks name the exchanges that they compare with other clients.
"""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.exchanges import NAMES

ROOT = Path(__file__).parents[3]
sys.path.append(str(ROOT))
generated = importlib.import_module("deploy.exchanges")

EXAMPLES = {"binance", "bybit", "okx"}
"""The exchanges that comments and tests take as examples. They would hide a forgotten list in a search."""
ELSEWHERE = {
    *(Path(file) for file in generated.FILES),  # `make fix` writes these lists
    Path("uv.lock"),
    # The simulator's list of exchanges, the faults and settings that only one of them has, and the list of all settings.
    *(Path("services/simulator/src/simulator") / file for file in ("app.py", "catalogue.py", "faults.py", "settings.py")),
    Path(".env.example"),
    Path("deploy/monitoring/alerts_test.yml"),  # promtool tells if an exchange is missing here
    Path("services/gateway/web/src/page/names.ts"),  # how the page spells an exchange whose own spelling differs from its name
}


@pytest.mark.parametrize("name", sorted(NAMES - EXAMPLES))
def test_an_exchange_is_named_in_its_own_folders_alone(name: str) -> None:
    spelled = re.sub("com$", r"\\.\\?com", name)  # Crypto.com
    listed = subprocess.run(
        ["git", "grep", "-lIi", spelled, "--", ".", ":!*.md", ":!docs", ":!tests", ":!*/tests/*", ":!benchmarks"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    own = (f"services/ingest-{name}/", f"services/simulator/src/simulator/{name}/", generated.FOLDERS.format(name))
    found = {Path(file) for file in listed.stdout.splitlines() if not file.startswith(own)}
    assert found - ELSEWHERE == set()
