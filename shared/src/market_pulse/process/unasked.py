"""Importing this takes out of the environment what only libraries read, by themselves and unasked.

Some of them do so when they are imported, before any setting is checked, and a text that they do not expect ends the process
with an error that does not name the variable. The parts import this first. A program of somebody else's, which
uses `market_pulse.client`, keeps its environment.
"""

import os

PREFIXES = (
    "WEBSOCKETS_",  # websockets: limits, which are set where it is used
    "PROMETHEUS_MULTIPROC_DIR",  # prometheus-client: one process writes to files for others; each part is one process
    "WEB_CONCURRENCY",  # uvicorn: the number of processes
    "FORWARDED_ALLOW_IPS",  # uvicorn: TRUSTED_PROXIES counts instead
    "FASTAPI_OTEL_AUTO_CONFIGURE",  # fastapi: to send traces somewhere
    "TERMINAL_WIDTH",  # typer
    "TYPER_USE_RICH",
)

for _name in [name for name in os.environ if name.upper().startswith(PREFIXES)]:
    del os.environ[_name]
