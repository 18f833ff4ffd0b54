"""userfaultfd(2) and ioctl_userfaultfd(2): numbers and structures (include/uapi/linux/userfaultfd.h)."""

from __future__ import annotations

import struct

__all__ = [
    "API",
    "CONTINUE",
    "COPY",
    "EVENT_FORK",
    "EVENT_PAGEFAULT",
    "EVENT_REMAP",
    "EVENT_REMOVE",
    "EVENT_UNMAP",
    "FEATURE_EVENTS",
    "FEATURE_MOVE",
    "FEATURE_WP_ASYNC",
    "FEATURE_WP_UNPOPULATED",
    "INITIALIZED",
    "MESSAGE",
    "MOVE",
    "MOVE_MODE_DONTWAKE",
    "RANGE",
    "REGISTER",
    "REGISTER_MODE_MINOR",
    "REGISTER_MODE_MISSING",
    "REGISTER_MODE_WP",
    "UFFDIO_API",
    "UFFDIO_CONTINUE",
    "UFFDIO_COPY",
    "UFFDIO_MOVE",
    "UFFDIO_REGISTER",
    "UFFDIO_UNREGISTER",
    "UFFDIO_WAKE",
    "UFFDIO_WRITEPROTECT",
    "UFFDIO_ZEROPAGE",
    "UFFD_API",
    "USER_MODE_ONLY",
    "WRITEPROTECT",
    "WRITEPROTECT_MODE_WP",
    "ZEROPAGE",
]

UFFD_API = 0xAA
USER_MODE_ONLY = 1  # flag of userfaultfd(2), since 5.11: needs no privilege
FEATURE_MOVE = 1 << 16  # since 6.8
FEATURE_WP_UNPOPULATED = 1 << 13  # since 6.4: marks pages that are not there, too
FEATURE_WP_ASYNC = 1 << 15  # since 6.7: who writes to a protected page waits for nobody
# Forks, mremap(2), madvise(2) that empties, munmap(2): each waits until it has been read (since 4.11).
FEATURE_EVENTS = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6

REGISTER_MODE_MISSING = 1
REGISTER_MODE_WP = 2
REGISTER_MODE_MINOR = 4
WRITEPROTECT_MODE_WP = 1
INITIALIZED = 1 << 31  # among the features that the kernel keeps: UFFDIO_API has been asked for (in v5.15)
MOVE_MODE_DONTWAKE = 1

API = struct.Struct("<QQQ")  # api, features, ioctls
REGISTER = struct.Struct("<QQQQ")  # start, length, mode, ioctls
COPY = struct.Struct("<QQQQq")  # dst, src, len, mode, bytes that were copied
ZEROPAGE = struct.Struct("<QQQq")  # start, length, mode, bytes that were mapped
CONTINUE = ZEROPAGE  # start, length, mode, bytes that were mapped
RANGE = struct.Struct("<QQ")  # start, length
WRITEPROTECT = struct.Struct("<QQQ")  # start, length, mode
MOVE = struct.Struct("<QQQQq")  # dst, src, len, mode, bytes that were moved

# _IOWR(0xAA, number, size)
UFFDIO_API = 0xC018AA3F
UFFDIO_REGISTER = 0xC020AA00
UFFDIO_MOVE = 0xC028AA05
UFFDIO_COPY = 0xC028AA03
UFFDIO_ZEROPAGE = 0xC020AA04
UFFDIO_CONTINUE = 0xC020AA07
UFFDIO_WRITEPROTECT = 0xC018AA06
# _IOR(0xAA, number, size)
UFFDIO_UNREGISTER = 0x8010AA01
UFFDIO_WAKE = 0x8010AA02

# struct uffd_msg: the event, then what it tells. PAGEFAULT: flags, address. FORK: a descriptor (u32), here.
# REMAP: from, to, length. REMOVE and UNMAP: start, end.
MESSAGE = struct.Struct("<B7xQQQ")
EVENT_PAGEFAULT, EVENT_FORK, EVENT_REMAP, EVENT_REMOVE, EVENT_UNMAP = range(0x12, 0x17)
