"""The deployed parts, and the environment variables that each reads."""

import re
import tomllib
from pathlib import Path

from aggregator.settings import AggregatorSettings
from candles.settings import CandlesSettings
from gateway.settings import GatewaySettings
from market_pulse.exchange.settings import IngestSettings
from market_pulse.process.settings import Settings
from simulator.settings import Settings as SimulatorSettings

ROOT = Path(__file__).parents[2]
INGESTS = sorted(folder.name for folder in (ROOT / "services").glob("ingest-*"))
SETTINGS: dict[str, type[Settings]] = {
    **dict.fromkeys(INGESTS, IngestSettings),
    "aggregator": AggregatorSettings,
    "candles": CandlesSettings,
    "gateway": GatewaySettings,
    "simulator": SimulatorSettings,
}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def variables(kind: type[Settings]) -> set[str]:
    """Return the names of the environment variables that a Settings class reads."""
    return {name.upper() for name in kind.model_fields}


def image_version(image: str, part: str) -> str | None:
    """Return the version of an image of this part, or None if the image is another part's."""
    named = re.fullmatch(rf"(?:.*/)?{re.escape(part)}:([^:/]+)", image)
    return named[1] if named else None
