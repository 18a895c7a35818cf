"""The Redis servers of all ways to deploy have bounds, so that one slow subscriber does not harm the others."""

import re
from typing import Any

import pytest
import yaml

from support.parts import ROOT

BOUNDS = {
    "client-output-buffer-limit": "pubsub 64mb 16mb 30",
    "maxmemory": "512mb",
    "maxmemory-clients": "96mb",
    "maxmemory-policy": "volatile-lru",
}


@pytest.mark.parametrize(
    "path",
    [
        "docker-compose.yml",
        "deploy/swarm/stack.yml",
        "deploy/redis/replicated",
        "deploy/kubernetes/overlays/demo/extras/redis.yaml",
    ],
)
def test_a_server_has_its_bounds(path: str) -> None:
    text = re.sub(r"\s*\n\s*- ", " ", (ROOT / path).read_text())  # Kubernetes has a line for each argument
    found = {name: re.findall(rf'--{name} "?([^"\n]+?)"?(?= --| ?\\?\n)', text) for name in BOUNDS}
    assert found == {name: [value] for name, value in BOUNDS.items()}


@pytest.mark.parametrize("path", ["docker-compose.yml", "deploy/compose/sentinel.yml", "deploy/swarm/stack.yml"])
def test_nothing_of_a_server_is_left_behind(path: str) -> None:
    """The image declares a volume at /data. A container that mounts nothing there leaves an anonymous volume behind."""
    services: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())["services"]
    of_redis = {name: service for name, service in services.items() if service.get("image") == "redis:8"}
    assert of_redis
    for name, service in of_redis.items():
        mounted = [where.partition(":")[0] for where in service.get("tmpfs", ())]
        mounted += [one["target"] for one in service.get("volumes", ()) if isinstance(one, dict) and one["type"] == "tmpfs"]
        assert "/data" in mounted, name
