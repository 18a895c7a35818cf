"""The ingests that `make up` and `make demo` start: those that EXCHANGES names, or all."""

import importlib
import sys
from pathlib import Path

import pytest

from support.parts import INGESTS

sys.path.append(str(Path(__file__).parents[3]))
parts = importlib.import_module("deploy.local.parts")


def started(**environment: str) -> list[str]:
    planned = parts.plan(environment, demo=True)
    return [part.name for part in planned.parts if part.name.startswith("ingest-")]


@pytest.mark.parametrize("named", ["", " , "])
def test_all_exchanges_are_read(named: str) -> None:
    assert started() == started(EXCHANGES=named) == INGESTS


def test_only_the_named_exchanges_are_read() -> None:
    assert started(EXCHANGES="okx, Binance") == ["ingest-binance", "ingest-okx"]


@pytest.mark.parametrize(("named", "said"), [("okx,binanse", "binanse is not one of binance, "), ("okx;bybit", "'okx;bybit'")])
def test_an_unknown_exchange_is_refused_by_name(named: str, said: str) -> None:
    with pytest.raises(parts.CannotRunError, match=r"^EXCHANGES: ") as refused:
        started(EXCHANGES=named)
    assert said in str(refused.value)
