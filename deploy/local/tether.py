"""Run a program that ends when its parent does, even if that is killed: `tether.py PROGRAM ARGUMENT...`.

Linux tells the program with SIGTERM; elsewhere nobody does, and a killed runner leaves its parts behind.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - a program, not a shell
