"""The adapters of all ingests in the workspace and of the invented exchanges, each with the folder it comes from."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from market_pulse.exchange.adapter import Adapter, Endpoint

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
ENDPOINTS: dict[str, Endpoint] = {
    f"{name} {endpoint.ws_path}": endpoint for name, adapter in ADAPTERS.items() for endpoint in (adapter, *adapter.further)
}
"""Their WebSocket endpoints: the one that gives the ticker, and the further ones."""


def samples(*members: str) -> list[Any]:
    """Return the sample files of all adapters that have these members, as parameters of a test: the adapter and the sample."""
    found = []
    for folder in FOLDERS:
        for path in sorted((folder / "frames").glob("*.json")):
            sample = json.loads(path.read_text())
            if all(member in sample for member in members):
                found.append(pytest.param(ADAPTERS[folder.name], sample, id=f"{folder.name}/{path.stem}"))
    return found
