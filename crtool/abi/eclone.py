"""eclone(): both revisions of its struct clone_args, and the bits of its flags that mean something else today.

The call was proposed for Linux in 2009 and never merged; see LWN 362371, "eclone()" (18 November 2009), and patches
v12 to v14 of the containers list. What it is built on here is in :mod:`crtool.abi.clone`.
"""

from __future__ import annotations

import struct

# v13, v14 (48 bytes): clone_flags_high, child_stack (top), child_stack_size (must be 0), parent_tid_ptr, child_tid_ptr,
# nr_pids, reserved0 (must be 0).
ECLONE_ARGS = struct.Struct("<5Q2I")
# v12, the form of the article (56 bytes): the second field is child_stack_base, the lowest address; at the end is
# reserved1 (must be 0).
ECLONE_ARGS_V12 = struct.Struct("<5Q2IQ")
PID_T = struct.Struct("<i")

CSIGNAL = 0x000000FF  # of flags_low: the exit signal
FLAGS = 0xFFFFFF00  # of flags_low: the rest

# Bits that meant something else, or nothing, when eclone() was defined. Who wrote them then does not mean what they do
# now, so they are refused.
CHANGED_FLAGS = {
    0x00000080: "0x80 in the low byte was part of the exit signal and is CLONE_NEWTIME today",
    0x00001000: "0x1000 was unused (CLONE_UNUSED) and is CLONE_PIDFD today",
    0x00400000: "0x400000 was CLONE_DETACHED, which was ignored, and is refused today",
    0x02000000: "0x2000000 was CLONE_STOPPED and is CLONE_NEWCGROUP today",
}

SIGNAL_MAX = 64  # _NSIG
LEVELS_MAX = 32  # MAX_PID_NS_LEVEL (include/linux/pid_namespace.h): set_tid has room for no more
PID_RESERVED = 300  # RESERVED_PIDS (kernel/pid.c): what the kernel chooses is above, once the numbers have wrapped
PROC_PID_INIT_INO = 0xEFFFFFFC  # the inode of the first PID namespace (include/linux/proc_ns.h)

# One of them, in the user namespace that owns the PID namespace, is what choosing a PID takes.
CAP_SYS_ADMIN = 21
CAP_CHECKPOINT_RESTORE = 40
