"""/proc/PID/stat and /proc/PID/statm: one line of numbers.

Spec: proc_pid_stat(5), proc_pid_statm(5); do_task_stat() in the kernel's fs/proc/array.c.

The kernel shows the addresses, ``exit_code`` and ``wchan`` only to whom it would allow to ptrace the process; to
others they read 0 (``start_code`` and ``end_code``: 1). The command name is neither escaped nor free of anything but
NUL: it may hold spaces, parentheses and newlines, so it ends at the last parenthesis of the file.
"""

from __future__ import annotations

import os

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["PF_EXITING", "PF_FORKNOEXEC", "PF_IO_WORKER", "PF_KTHREAD", "Stat", "Statm", "parse", "parse_statm"]

# Bits of Stat.flags, from the kernel's include/linux/sched.h.
PF_EXITING = 0x00000004  # on its way to an end
PF_IO_WORKER = 0x00000010  # works for a ring of io_uring, within the process that has it
PF_FORKNOEXEC = 0x00000040  # forked, but has not called execve since
PF_KTHREAD = 0x00200000  # a kernel thread

_FIELDS = 52  # since 3.5


@dataclass(frozen=True)
class Stat:
    """One task. The numbers behind the fields are those of proc_pid_stat(5)."""

    pid: int  # 1: of the thread, for /proc/PID/task/TID/stat
    comm: bytes  # 2: at most 15 bytes; more for kernel threads
    state: str  # 3: R S D T t Z X I
    ppid: int  # 4: of the process, for a thread too; 0 if it lives outside of the PID namespace of /proc
    pgrp: int  # 5
    session: int  # 6
    tty_nr: int  # 7: device number of the controlling terminal, 0 for none
    tpgid: int  # 8: foreground process group of that terminal, −1 for none
    flags: int  # 9: PF_* bits
    priority: int  # 18: kernel's own scale
    nice: int  # 19: −20…19
    num_threads: int  # 20
    starttime: int  # 22: clock ticks since boot
    vsize: int  # 23: bytes
    rss: int  # 24: pages
    rsslim: int  # 25: bytes
    start_code: int  # 26: address, as are those that follow
    end_code: int  # 27
    startstack: int  # 28: where the stack pointer was when the program began (argc lies there)
    exit_signal: int  # 38: sent to the parent at the end; −1 for a thread other than the leader
    processor: int  # 39: CPU it ran on last
    rt_priority: int  # 40: 1…99 for real-time policies, else 0
    policy: int  # 41: SCHED_*
    start_data: int  # 45
    end_data: int  # 46
    start_brk: int  # 47
    arg_start: int  # 48
    arg_end: int  # 49
    env_start: int  # 50
    env_end: int  # 51
    exit_code: int  # 52: wait status of a zombie; of a stopped process the signal that stopped it

    @property
    def tty(self) -> tuple[int, int] | None:
        """Major and minor number of the controlling terminal."""
        device = self.tty_nr & 0xFFFFFFFF
        return (os.major(device), os.minor(device)) if device else None

    @property
    def is_kernel_thread(self) -> bool:
        """Whether it has no program at all."""
        return bool(self.flags & PF_KTHREAD)

    @property
    def is_io_worker(self) -> bool:
        """Whether it is a thread that the kernel has made for requests of io_uring."""
        return bool(self.flags & PF_IO_WORKER)

    @property
    def is_zombie(self) -> bool:
        """Whether it has ended and waits for its parent."""
        return self.state == "Z"


def parse(data: bytes) -> Stat:
    """The one line of the file; ProcfsError if it has another form."""
    try:
        head, _, tail = data.rpartition(b")")
        pid, _, comm = head.partition(b" (")
        state, *words = tail.split()
        if len(words) < _FIELDS - 3 or len(state) != 1:
            raise ValueError
        # Padded so that the index is the number of the field in the man page.
        value = [0, 0, 0, 0, *map(int, words)]
        return Stat(
            pid=int(pid),
            comm=comm,
            state=state.decode("ascii"),
            ppid=value[4],
            pgrp=value[5],
            session=value[6],
            tty_nr=value[7],
            tpgid=value[8],
            flags=value[9],
            priority=value[18],
            nice=value[19],
            num_threads=value[20],
            starttime=value[22],
            vsize=value[23],
            rss=value[24],
            rsslim=value[25],
            start_code=value[26],
            end_code=value[27],
            startstack=value[28],
            exit_signal=value[38],
            processor=value[39],
            rt_priority=value[40],
            policy=value[41],
            start_data=value[45],
            end_data=value[46],
            start_brk=value[47],
            arg_start=value[48],
            arg_end=value[49],
            env_start=value[50],
            env_end=value[51],
            exit_code=value[52],
        )
    except ValueError:
        raise ProcfsError("stat", data) from None


@dataclass(frozen=True)
class Statm:
    """Use of memory in pages."""

    size: int  # pages of address space
    resident: int  # pages present
    shared: int  # pages present that belong to files or shared memory
    text: int  # pages of code
    data: int  # pages of data and stack


def parse_statm(data: bytes) -> Statm:
    """The seven numbers of the file, of which two (lib, dt) are always 0; ProcfsError if it has another form."""
    try:
        size, resident, shared, text, _, pages_of_data, _ = map(int, data.split())
    except ValueError:
        raise ProcfsError("statm", data) from None
    return Statm(size, resident, shared, text, pages_of_data)
