"""Importing this module removes variables from the environment that libraries would read without our asking them to.

Some libraries read them when they are imported, before any setting is checked. A value that they do not expect then ends the
process with an error that does not name the variable. So each part imports this module first. `market_pulse.client` does not
import it, so a program that uses the client keeps its environment.
"""

import os

PREFIXES = (
    "WEBSOCKETS_",  # websockets: limits, which our code sets itself
    "PROMETHEUS_MULTIPROC_DIR",  # prometheus-client: share metrics among processes; each part is a single process
    "WEB_CONCURRENCY",  # uvicorn: the number of processes
    "FORWARDED_ALLOW_IPS",  # uvicorn: trusted proxies; our setting for it is TRUSTED_PROXIES
    "FASTAPI_OTEL_AUTO_CONFIGURE",  # fastapi: send traces
    "TERMINAL_WIDTH",  # typer
    "TYPER_USE_RICH",  # typer
)

for _name in [name for name in os.environ if name.upper().startswith(PREFIXES)]:
    del os.environ[_name]
