"""rseq(2): restartable sequences (include/uapi/linux/rseq.h)."""

from __future__ import annotations

import struct

RSEQ_CS_OFFSET = 8  # of the pointer to the active critical section, in struct rseq
RSEQ_FLAG_UNREGISTER = 1
RSEQ_MIN_SIZE = 32  # of the area, as the first version had it

# struct rseq_cs: version, flags, start_ip, post_commit_offset, abort_ip
RSEQ_CS = struct.Struct("<IIQQQ")
