"""Runs Debian's Prometheus as a process on the project's configuration, and reads the queries in the project's files."""

import asyncio
import contextlib
import json
import re
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from .waiting import PATIENCE_S, free_port, until

FOLDER = Path(__file__).parents[2] / "deploy/monitoring"
DASHBOARD = FOLDER / "grafana/dashboards/market-pulse.json"
RATE_INTERVAL = "10s"  # Grafana's value of $__rate_interval when scrapes are this frequent

no_prometheus = None if shutil.which("prometheus") else "no Prometheus here: Debian's package prometheus has it"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def panel_expressions() -> Iterator[tuple[str, str]]:
    """Yield each panel's title with each of its expressions."""
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", RATE_INTERVAL)


def names_in(expression: str) -> set[str]:
    """Return the names of the metrics in an expression."""
    without_labels = re.sub(r"\{[^}]*\}|(?:by|on|group_left) ?\([^)]*\)|\[[^]]*\]|\"[^\"]*\"", " ", expression)
    return set(re.findall(r"\b(?:market_pulse_|hop:|haproxy_|process_)[\w:]+", without_labels))


class Prometheus:
    """A running server, queried over its HTTP API."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the present series of an expression. An invalid expression fails the test."""
        return list((await self._get("query", query=expression))["result"])

    async def names(self) -> set[str]:
        """Return the names of all metrics that were ever scraped or recorded."""
        return set(await self._get("label/__name__/values"))

    async def alerts(self) -> set[tuple[str, str]]:
        """Return the alerts that are pending or firing, each with its subject."""
        active = [alert["labels"] for alert in (await self._get("alerts"))["alerts"]]
        return {(one["alertname"], one.get("part") or one.get("symbol") or one.get("exchange") or "") for one in active}

    async def _get(self, what: str, **parameters: str) -> Any:
        answer = (await self._http.get(f"/api/v1/{what}", params=parameters)).json()
        assert answer["status"] == "success", answer
        return answer["data"]


@contextlib.asynccontextmanager
async def prometheus(folder: Path, targets: Mapping[str, list[str]]) -> AsyncIterator[Prometheus]:
    """Run Prometheus on the project's files, but with the given targets instead of DNS names, and scraping each second."""
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    configuration["global"] = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "1s")
    for job in configuration["scrape_configs"]:
        named = {name for found in job.pop("dns_sd_configs") for name in found["names"]}
        job["static_configs"] = [
            {"targets": targets[part], "labels": {"__meta_dns_name": part}} for part in sorted(named & targets.keys())
        ]
    shutil.copy(FOLDER / "alerts.yml", folder)
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=PATIENCE_S) as http:

            async def ready() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return (await http.get("/-/ready")).status_code == 200
                return False

            await until(ready)
            yield Prometheus(http)
    finally:
        process.terminate()
        await process.wait()
