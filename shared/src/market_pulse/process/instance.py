"""The name of this process beside its copies."""

import os
import socket


def instance_name() -> str:
    """Return the machine's name and the process's number: no two processes that run at the same time share both."""
    return f"{socket.gethostname()}:{os.getpid()}"
