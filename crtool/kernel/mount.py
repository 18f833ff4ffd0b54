"""mount(2), which Python does not have."""

from __future__ import annotations

import ctypes

from crtool.abi import mount as abi
from crtool.kernel.syscall import syscall

__all__ = ["make_private", "mount", "mount_proc"]


def mount(source: str, target: str, kind: str, flags: int) -> None:
    """mount(2) without data; raises OSError."""
    words = [ctypes.create_string_buffer(word.encode("utf-8", "surrogateescape")) for word in (source, target, kind)]
    syscall("mount", *map(ctypes.addressof, words), flags, 0)


def make_private() -> None:
    """Lets no mount of this mount namespace reach the one that it was copied from, or come from there."""
    mount("none", "/", "", abi.MS_REC | abi.MS_PRIVATE)


def mount_proc() -> None:
    """Mounts, over /proc, that of the PID namespace of this process."""
    mount("proc", "/proc", "proc", abi.MS_NOSUID | abi.MS_NODEV | abi.MS_NOEXEC)
