"""The files of Prometheus and Grafana agree with each other and with the parts' metrics. `make check` runs promtool on them."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

import aggregator.metrics
import candles.metrics
from gateway.api.gateway import Gateway
from gateway.api.metrics import gateway_registry
from gateway.settings import GatewaySettings
from ingest_okx.adapter import ADAPTER
from market_pulse.bus import Reader
from market_pulse.exchange.feed import Feed
from market_pulse.exchange.metrics import IngestCollector
from support.prometheus import DASHBOARD, FOLDER, names_in, panel_expressions, panels, rules

ROOT = Path(__file__).parents[2]
ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
OTHERS_OWN = ("haproxy_", "process_", "hop:")  # HAProxy's metrics, the client library's, and our recorded ones

assert aggregator.metrics.PREFIX
assert candles.metrics.PREFIX


def exposed(text: str) -> set[str]:
    """Return the names of a scrape's series, derived from the type of each metric family."""
    found: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        found |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return found


def ingest_metrics() -> str:
    feed = Feed(ADAPTER, ADAPTER.ws_urls, lambda _: None, blocked_retry_s=1, max_age_s=None)
    registry = CollectorRegistry()
    registry.register(IngestCollector(feed.stats, feed.facts))
    return generate_latest(registry).decode()


async def test_only_an_ingest_announces_an_ingests_metrics() -> None:
    async with Reader.open("redis://127.0.0.1:1/0") as bus:  # nothing connects
        others = generate_latest(gateway_registry(Gateway(GatewaySettings(), bus))) + generate_latest(REGISTRY)
    assert b"market_pulse_aggregator_" in others
    assert b"market_pulse_ingest_" not in others
    assert len(set(re.findall(r"^# HELP market_pulse_ingest_(\S+)", ingest_metrics(), re.MULTILINE))) == 26


async def test_every_metric_that_is_asked_for_is_there() -> None:
    async with Reader.open("redis://127.0.0.1:1/0") as bus:  # nothing connects
        gateway = generate_latest(gateway_registry(Gateway(GatewaySettings(), bus)))
    known = exposed(gateway.decode()) | exposed(generate_latest(REGISTRY).decode()) | exposed(ingest_metrics())
    asked = {name for rule in rules() for name in names_in(rule["expr"])}
    asked |= {name for _, expression in panel_expressions() for name in names_in(expression)}
    assert len(asked) > 40
    assert {name for name in asked if not name.startswith(OTHERS_OWN)} - known == set()
    assert {name for name in asked if name.startswith("hop:")} <= {rule.get("record") for rule in rules()}


def test_every_part_is_scraped_and_missed() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    parts = {name for name, service in services.items() if not service.get("profiles")} - {"redis", "users"}
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert {name for job in jobs for found in job["dns_sd_configs"] for name in found["names"]} == parts
    missed = ALERTS["MarketPulsePartMissing"]["expr"] + ALERTS["MarketPulseIngestMissing"]["expr"]
    assert set(re.findall(r'absent\(up\{part="([^"]+)"\}\)', missed)) == parts


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_documented_and_shown_to_fire_and_not_to_fire(name: str) -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"] if case["alertname"] == name]
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}
    assert name.startswith("MarketPulse")
    assert ALERTS[name]["labels"]["severity"] in {"critical", "warning"}
    runbook = (ROOT / "docs/operations.md").read_text()
    assert len(re.findall(rf"^\| `{name}` \| [^|]+ \| [^|]+ \|$", runbook, re.MULTILINE)) == 1


def test_the_runbook_knows_no_other_alert() -> None:
    assert set(re.findall(r"^\| `(MarketPulse\w+)`", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)) == set(ALERTS)


def test_the_dashboard_shows_each_panel_once_and_says_what_it_is() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for panel in panels():
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["targets"]
    for first, second in combinations(panels(), 2):
        assert not overlap(first["gridPos"], second["gridPos"]), (first["title"], second["title"])


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    assert one["x"] + one["w"] <= 24
    apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    return not apart and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]


def test_the_dashboard_reads_the_datasource_that_is_provisioned() -> None:
    provisioned = yaml.safe_load((FOLDER / "grafana/datasources/prometheus.yml").read_text())["datasources"]
    dashboard = json.loads(DASHBOARD.read_text())
    assert datasources(dashboard) == {(one["type"], one["uid"]) for one in provisioned}
    assert dashboard["uid"] == "market-pulse"


def datasources(part: Any) -> set[tuple[str, str]]:
    """Return all data sources that occur anywhere in a dashboard."""
    if isinstance(part, list):
        return set().union(*map(datasources, part)) if part else set()
    if not isinstance(part, dict):
        return set()
    found = part.get("datasource")
    own = {(found["type"], found["uid"])} if found else set()
    return own.union(*(datasources(value) for name, value in part.items() if name != "datasource"))
