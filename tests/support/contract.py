"""Checks messages of the bus against docs/asyncapi.yaml."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import orjson
import yaml
from jsonschema import Draft7Validator

from market_pulse import kinds
from support.compose import ROOT

from .whole_bus import WholeBus

SCHEMAS = {kind.prefix: kind.message.__name__ for kind in kinds.KINDS}
MAX_PROBLEMS = 20


@cache
def document() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())
    return content


@cache
def _validator(schema: str) -> Draft7Validator:
    return Draft7Validator({"$ref": f"#/components/schemas/{schema}", "components": document()["components"]})


def problems_of(channel: str, message: bytes) -> list[str]:
    """Return how a message breaks the contract of its channel. An undocumented field is also an error."""
    schema = next(name for prefix, name in SCHEMAS.items() if channel.startswith(prefix))
    content = orjson.loads(message)
    found = [f"{channel}: {error.json_path}: {error.message}" for error in _validator(schema).iter_errors(content)]
    undocumented = content.keys() - document()["components"]["schemas"][schema]["properties"].keys()
    return found + [f"{channel}: {name} is not documented" for name in sorted(undocumented)]


class Contract:
    """Counts the received messages of each kind by quality or state, and collects their errors."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.seen: Counter[tuple[str, str | None]] = Counter()

    def take(self, channel: str, message: bytes) -> None:
        content = orjson.loads(message)
        self.seen[channel.partition(":")[0], content.get("quality") or content.get("state")] += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems += problems_of(channel, message)


@contextlib.asynccontextmanager
async def held_against_contract(bus: WholeBus) -> AsyncIterator[Contract]:
    """Check all published messages against the contract while the context lasts."""
    contract = Contract()

    async def subscribed(_: bool) -> None:
        pass

    subscriber = bus.subscriber(contract.take, subscribed)
    await subscriber.subscribe_patterns(kinds.TICK.pattern, kinds.TICKER.pattern, kinds.STATUS.pattern)
    listening = asyncio.create_task(subscriber.run())
    try:
        yield contract
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
