"""The name that tells this process apart from other copies of the same part."""

import os
import socket


def instance_name() -> str:
    """Return `host name:process id`. No two processes that run at the same time have the same."""
    return f"{socket.gethostname()}:{os.getpid()}"
