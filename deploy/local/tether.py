"""Run a program that ends when its parent ends, even if the parent is killed: `tether.py PROGRAM ARGUMENT...`.

On Linux the kernel sends the program SIGTERM. On other systems it does not, and a killed runner leaves its parts running.
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
