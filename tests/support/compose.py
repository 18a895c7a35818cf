"""Runs the demo in containers as users start it, as a Compose project with its own name and ports."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from copy import copy
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from support.docker import no_docker
from support.waiting import free_port

ROOT = Path(__file__).parents[2]
BUILD_LIMIT_S, UP_LIMIT_S, DOWN_LIMIT_S = 600, 180, 60
DEPLOYMENT_LIMIT_S = BUILD_LIMIT_S + UP_LIMIT_S + DOWN_LIMIT_S


def on_containers(further_s: float = 0) -> list[pytest.MarkDecorator]:
    """Return the marks for tests on a deployment. `further_s` is additional time; the first test also waits for the start."""
    return [
        pytest.mark.docker,
        pytest.mark.skipif(no_docker() is not None, reason=str(no_docker())),
        pytest.mark.timeout(DEPLOYMENT_LIMIT_S + further_s),
    ]


class Deployment:
    """One Compose project. `environment` has the values of its variables."""

    def __init__(self, purpose: str, **environment: str) -> None:
        self.project = f"market-pulse-{purpose}-{os.getpid()}"
        self.page_port, self.redis_port = free_port(), free_port()
        self.page = f"http://127.0.0.1:{self.page_port}"
        self.host = ""  # the host name of the container that `one_more` started
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")},
            "PORT": str(self.page_port),
            "REDIS_PORT": str(self.redis_port),
            "COMPOSE_PROFILES": "demo,bus",
            **environment,
        }

    @contextlib.contextmanager
    def one_more(self, service: str, *overlays: str, **environment: str) -> Iterator["Deployment"]:
        """Run one more container of a service, with overlays and variables, on a port of its own, while the context lasts.

        Others find it by the service's name, like the containers that were there before.
        """
        other = copy(self)
        other.page_port = free_port()
        other.page = f"http://127.0.0.1:{other.page_port}"
        files = {"COMPOSE_FILE": ",".join(("docker-compose.yml", *overlays)), "COMPOSE_PATH_SEPARATOR": ","}
        other._environment = self._environment | files | {"PORT": str(other.page_port)} | environment
        container = other.compose("run", "--detach", "--no-deps", "--service-ports", "--use-aliases", service).strip()
        other.host = container[:12]
        try:
            _until_healthy(container)
            yield other
        finally:
            subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=True, timeout=30)

    def compose(self, *arguments: str, within_s: float = 60) -> str:
        command = ("docker", "compose", "--env-file", "deploy/demo.env", "--project-name", self.project, *arguments)
        done = subprocess.run(
            command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False, timeout=within_s
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    @cached_property
    def redis_url(self) -> str:
        """The URL of the bus that the documentation gives to direct subscribers on this machine."""
        return self.compose("run", "--rm", "users", "reader").strip()

    def containers(self) -> dict[str, list[dict[str, Any]]]:
        """Return the engine's facts about each service's containers, without those that do their work once and end."""
        ids = self.compose("ps", "--all", "--quiet").split()
        known = json.loads(subprocess.run(["docker", "inspect", *ids], capture_output=True, check=True, timeout=30).stdout)
        found: dict[str, list[dict[str, Any]]] = {}
        for container in sorted(known, key=itemgetter("Name")):
            if container["HostConfig"]["RestartPolicy"]["Name"] != "no":
                found.setdefault(container["Config"]["Labels"]["com.docker.compose.service"], []).append(container)
        return found


def _until_healthy(container: str) -> None:
    """Wait until the engine finds a container healthy. Before that, connections to its published ports may be reset."""
    until_s = time.monotonic() + UP_LIMIT_S
    health = ["docker", "inspect", "--format", "{{.State.Health.Status}}", container]
    while subprocess.run(health, capture_output=True, check=True, timeout=60, text=True).stdout.strip() != "healthy":
        assert time.monotonic() < until_s, f"{container} does not become healthy"
        time.sleep(0.2)


@contextlib.contextmanager
def deployed(deployment: Deployment) -> Iterator[Deployment]:
    """Build the images, which is fast after the first time, and run the deployment while the context lasts."""
    try:
        deployment.compose("build", within_s=BUILD_LIMIT_S)
        deployment.compose("up", "--detach", "--wait", "--wait-timeout", str(UP_LIMIT_S), within_s=UP_LIMIT_S + 10)
        yield deployment
    finally:
        deployment.compose("down", "--volumes", "--remove-orphans", "--rmi", "local", within_s=DOWN_LIMIT_S)
