"""Asynchronous input and output: requests, results, and the ring of results in the memory of the process.

Sources: include/uapi/linux/aio_abi.h; struct aio_ring, ioctx_alloc() and aio_setup_ring() in fs/aio.c.
"""

from __future__ import annotations

import struct

__all__ = ["CMD_POLL", "EVENT", "HEAD_AT", "IOCB", "MOST_BYTES", "RING", "entries", "request_for"]

# struct iocb: aio_data, aio_key, aio_rw_flags, aio_lio_opcode, aio_reqprio, aio_fildes, aio_buf, aio_nbytes,
# aio_offset, aio_reserved2, aio_flags, aio_resfd
IOCB = struct.Struct("<QIiHhIQQqQII")
CMD_POLL = 5  # IOCB_CMD_POLL: aio_buf is what to wait for
EVENT = struct.Struct("<QQqq")  # struct io_event: data, obj, res, res2
RING = struct.Struct("<8I")  # id, nr, head, tail, magic, compat_features, incompat_features, header_length
HEAD_AT = 8
MOST_BYTES = 0x1000_0000  # that all results of a ring may take
_MORE = 2  # entries that the kernel adds


def entries(size: int) -> int:
    """How many results a ring of *size* bytes, which are whole pages, has room for."""
    return (size - RING.size) // EVENT.size


def request_for(size: int, page_size: int) -> int:
    """The smallest number that io_setup(2) makes a ring of *size* bytes for, on a machine with few CPUs.

    The kernel doubles the number, or takes eight for each CPU if that is more.
    """
    below = entries(size - page_size)  # that many and fewer need a page less
    return max(1, (below - _MORE) // 2 + 1)
