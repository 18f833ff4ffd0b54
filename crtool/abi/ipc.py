"""System V IPC: flags, and the structures of *ctl(2) on 64-bit machines (asm-generic/{ipc,shm,sem,msg}buf.h)."""

from __future__ import annotations

import struct

IPC_PRIVATE = 0
IPC_CREAT, IPC_EXCL, IPC_NOWAIT = 0o1000, 0o2000, 0o4000
IPC_RMID, IPC_SET, IPC_STAT = 0, 1, 2

SHM_RDONLY = 0o10000
SHM_DEST, SHM_LOCKED, SHM_HUGETLB, SHM_NORESERVE = 0o1000, 0o2000, 0o4000, 0o10000  # of a mode or of shmget(2)
SHM_HUGE_SHIFT = 26
SHM_LOCK = 11

SEM_UNDO = 0x1000
GETPID, GETALL, SETALL = 11, 13, 17
SEMVMX = 32767  # the highest value
SEMAEM = 32767  # the highest adjustment; the lowest is one below its negative

MSG_NOERROR, MSG_COPY = 0o10000, 0o40000

PERM = struct.Struct("<i5IHxx4x16x")  # key, uid, gid, cuid, cgid, mode, seq
SHMID = struct.Struct("<48sQqqqiiQ16x")  # perm, size, atime, dtime, ctime, creator, last to attach, attached
SEMID = struct.Struct("<48sq8xq8xQ16x")  # perm, otime, ctime, number of semaphores
MSQID = struct.Struct("<48sqqqQQQii16x")  # perm, stime, rtime, ctime, bytes, messages, limit, last sender, receiver
SEMBUF = struct.Struct("<Hhh")  # number, operation, flags
