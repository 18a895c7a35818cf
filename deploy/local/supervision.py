"""The parts as programs of supervisord, which starts, watches and stops them."""

import os
import secrets
import shlex
import sys
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

from .parts import Part

TETHER = Path(__file__).with_name("tether.py")
EXIT_BAD_CONFIGURATION = 78  # a part that refuses its environment; the only exit that starting again cannot help
STOP_WITHIN_S = 15  # per part, then SIGKILL; as in the files for containers

PROGRAM = """
[program:{name}]
command={command}
environment={environment}
priority={priority}
startsecs=1
startretries=1000000
autorestart=unexpected
exitcodes={refused}
stopwaitsecs={stop_within_s}
killasgroup=true
redirect_stderr=true
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
"""

SUPERVISORD = """
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
loglevel=warn
pidfile={folder}/supervisord.pid
{user}

[unix_http_server]
file={socket}
username=local
password={password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[group:parts]
programs={names}
"""


class Supervision:
    """supervisord's side of a run: how to start it, and what it knows about the parts."""

    def __init__(self, parts: Iterable[Part], folder: Path) -> None:
        self._password = secrets.token_hex()
        self._socket = folder / "supervisor.sock"
        self._configuration = folder / "supervisord.conf"
        self._configuration.write_text(_configuration(tuple(parts), folder, self._socket, self._password))

    @property
    def command(self) -> tuple[str, ...]:
        """The command that runs all parts until SIGTERM."""
        return tethered(sys.executable, "-m", "supervisor.supervisord", "-c", str(self._configuration))

    def refused(self) -> str | None:
        """Name a part that will not run with this configuration, however often it is started."""
        # A transport of its own for each question: one that failed once, as it does before supervisord listens, stays broken.
        transport = SupervisorTransport("local", self._password, f"unix://{self._socket}")
        supervisord: Any = ServerProxy("http://supervisord", transport=transport)
        try:
            processes = supervisord.supervisor.getAllProcessInfo()
        except (OSError, HTTPException, Fault):  # not up yet, or going down
            return None
        return next((process["name"] for process in processes if process["exitstatus"] == EXIT_BAD_CONFIGURATION), None)


def tethered(*command: str) -> tuple[str, ...]:
    """Return a command that ends with its parent."""
    return (sys.executable, "-I", "-S", str(TETHER), *command)


def _configuration(parts: tuple[Part, ...], folder: Path, socket: Path, password: str) -> str:
    """Write supervisord's file. The server is a group of its own: it stops after the parts, which say goodbye through it."""
    programs = [
        PROGRAM.format(
            name=part.name,
            command=_literal(shlex.join(tethered(*part.command))),
            environment=",".join(f'{name}="{_literal(value)}"' for name, value in part.environment.items()),
            priority=1 if part.name == "redis" else 2,
            refused=EXIT_BAD_CONFIGURATION,
            stop_within_s=STOP_WITHIN_S,
        )
        for part in parts
    ]
    names = ",".join(part.name for part in parts if part.name != "redis")
    user = "user=root" if os.geteuid() == 0 else ""  # said aloud, since supervisord warns of what nobody asked for
    return SUPERVISORD.format(folder=folder, socket=socket, user=user, password=password, names=names) + "".join(programs)


def _literal(text: str) -> str:
    return text.replace("%", "%%")
