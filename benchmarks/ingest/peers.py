"""Installs cryptofeed in an environment of its own."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
PEERS = HERE / "peers"
WITH_PEERS = os.environ | {"PYTHONPATH": str(HERE)}  # so that the peers can import their shared modules
CRYPTOFEED = HERE / ".cache" / "cryptofeed"
# The last version for Python 3.11. It does not pin its dependencies, so their versions are pinned here.
PACKAGES = ("cryptofeed==2.4.1", "redis==8.1.0", "hiredis==3.5.0", "websockets==17.4", "uvloop==0.23.0")
INSTALL_LIMIT_S = 600
CRYPTOFEED_READS = {"binance", "bybit", "okx", "cryptocom"}
"""The exchanges some of whose recorded frames it reads. It has no tickers of Coinbase, and reads version 1 of Kraken."""


def cryptofeed_python() -> str | None:
    """Return a Python that has cryptofeed, which is installed if missing. If that fails, print the reason and return None."""
    python, stamp = CRYPTOFEED / "bin" / "python", CRYPTOFEED / "installed"
    print(", ".join(PACKAGES))
    if stamp.exists() and stamp.read_text() == str(PACKAGES):
        return str(python)
    uv = [sys.executable, "-m", "uv"]
    commands = [
        [*uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(CRYPTOFEED)],
        [*uv, "pip", "install", "--quiet", "--python", str(python), *PACKAGES],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_LIMIT_S)
        if done.returncode:
            print(f"without cryptofeed, which cannot be installed here: {done.stderr.strip()[-300:]}")
            return None
    stamp.write_text(str(PACKAGES))
    return str(python)
