"""The servers of all ways to deploy: each has the bounds without which one subscriber's trouble would be everybody's."""

import re

import pytest

from support.parts import ROOT

BOUNDS = {
    "client-output-buffer-limit": "pubsub 64mb 16mb 30",
    "maxmemory": "256mb",
    "maxmemory-clients": "96mb",
    "maxmemory-policy": "volatile-ttl",
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
