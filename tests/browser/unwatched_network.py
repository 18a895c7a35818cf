#!/usr/bin/env python3
"""Run a browser that cannot watch this machine's network interfaces: `unwatched_network.py BROWSER [ARGUMENT…]`.

Chromium listens to the kernel's netlink messages. Whenever an interface appears or goes, it fails what it loads just then
with ERR_NETWORK_CHANGED, on loopback as well. Each container that starts or ends beside the tests brings or takes an
interface. The kernel therefore refuses this browser's netlink sockets, and Chromium goes on as if the network never changed.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

AF_NETLINK = 16
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
# The kernel's number of each architecture, and that architecture's number of the system call `socket`.
ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
CALL_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16  # in the kernel's seccomp_data


class Program(ctypes.Structure):
    """The kernel's sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def program(architecture: int, socket_call: int) -> bytes:
    """Return the filter: `socket(AF_NETLINK, …)` is refused, every other call is allowed."""
    steps = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (JUMP_IF_EQUAL, 0, 5, architecture),
        (LOAD, 0, 0, CALL_AT),
        (JUMP_IF_EQUAL, 0, 3, socket_call),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (JUMP_IF_EQUAL, 0, 1, AF_NETLINK),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def refuse_netlink() -> None:
    """Refuse netlink sockets to this process and to all that it starts.

    Raises:
        OSError: the kernel takes no filter.
    """
    instructions = program(*ARCHITECTURES[platform.machine()])
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    steps = Program(len(instructions) // 8, ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(steps), 0, 0)):
        if prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")


if __name__ == "__main__":
    if sys.platform == "linux" and platform.machine() in ARCHITECTURES:
        refuse_netlink()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - becomes the browser, as Playwright expects of it
