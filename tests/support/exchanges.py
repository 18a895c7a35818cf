"""The adapters of all ingests in the workspace and of the invented exchanges, each with the folder it comes from."""

import importlib
import sys
from pathlib import Path
from typing import cast

from market_pulse.exchange.adapter import Adapter

ROOT = Path(__file__).parents[2]
FOLDERS = [*sorted((ROOT / "services").glob("ingest-*")), *sorted((ROOT / "tests").glob("*-exchange"))]


def load(folder: Path) -> Adapter:
    """Return the adapter of a folder. The invented exchanges are not installed, so their sources are added to the path."""
    package = next((folder / "src").glob("ingest_*"))
    if str(package.parent) not in sys.path:
        sys.path.append(str(package.parent))
    return cast("Adapter", importlib.import_module(f"{package.name}.adapter").ADAPTER)


NAMES = {folder.name.removeprefix("ingest-") for folder in FOLDERS if folder.parent.name == "services"}
"""The exchanges that have an ingest."""
ADAPTERS = {folder.name: load(folder) for folder in FOLDERS}
