"""sched_setattr(2), ioprio_set(2) (include/uapi/linux/sched.h, sched/types.h, ioprio.h)."""

from __future__ import annotations

import struct

SCHED_OTHER = 0
SCHED_FIFO = 1
SCHED_RR = 2
SCHED_BATCH = 3
SCHED_IDLE = 5
SCHED_DEADLINE = 6

SCHED_FLAG_RESET_ON_FORK = 0x01
SCHED_FLAG_RECLAIM = 0x02
SCHED_FLAG_DL_OVERRUN = 0x04
SCHED_FLAG_UTIL_CLAMP_MIN = 0x20
SCHED_FLAG_UTIL_CLAMP_MAX = 0x40

# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period (SCHED_ATTR_SIZE_VER0: 48 bytes),
# util_min, util_max (SCHED_ATTR_SIZE_VER1, since 5.3: 56 bytes).
SCHED_ATTR = struct.Struct("<IIQiIQQQII")

IOPRIO_WHO_PROCESS = 1  # one task, by TID
