"""Checks whether containers can run here."""

import shutil
import subprocess
from functools import cache


@cache
def no_docker() -> str | None:
    """Return the reason why containers cannot run here, or None if they can."""
    if shutil.which("docker") is None:
        return "no docker on the PATH"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        answer = subprocess.run(command, capture_output=True, check=False, timeout=30)
        if answer.returncode != 0:
            return f"`{' '.join(command)}` fails: no Docker Engine with Compose v2 runs here"
    return None
