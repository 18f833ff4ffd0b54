"""What this kernel and this CPU can do: probed, never derived from a version."""

from __future__ import annotations

import os
import struct

from crtool.abi import ptrace as ptrace_abi
from crtool.kernel import ptrace
from crtool.kernel.wait import wait_for_stop

__all__ = ["xfeatures"]


def xfeatures() -> int:
    """XCR0: the CPU state components that the kernel saves, as ptrace shows them of a child."""
    pid = os.fork()
    if pid == 0:
        try:
            signal_wait()
        finally:
            os._exit(0)
    try:
        ptrace.seize(pid, ptrace_abi.O_EXITKILL)
        ptrace.interrupt(pid)
        wait_for_stop(pid)
        (features,) = struct.unpack_from("<Q", ptrace.fpu(pid), 464)
        return int(features)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0x40000000)


def signal_wait() -> None:
    """Waits for ever."""
    import signal  # noqa: PLC0415

    while True:
        signal.pause()
