"""A process that has one of many things: the seed of the fuzzing is its image."""

from __future__ import annotations

import array
import ctypes
import mmap
import os
import select
import signal
import socket
import sys
import threading
import time

SYS_TIMERFD_CREATE, SYS_TIMER_CREATE = 283, 222  # x86-64
SYS_INOTIFY_INIT, SYS_INOTIFY_ADD_WATCH, SYS_SIGNALFD4, SYS_PIDFD_OPEN = 253, 254, 289, 434


def main(folder: str) -> None:
    """Opens everything, says so, and waits."""
    kept: list[object] = []
    libc = ctypes.CDLL(None)
    os.chdir(folder)
    for flags in (os.O_RDONLY, os.O_WRONLY | os.O_APPEND, os.O_RDWR):
        kept.append(os.open("file", flags | os.O_CREAT))
    deleted = os.open("deleted", os.O_RDWR | os.O_CREAT)
    os.write(deleted, b"x" * 5000)
    os.unlink("deleted")
    os.mkfifo("fifo")
    kept.append(os.open("fifo", os.O_RDWR))
    read_end, write_end = os.pipe()
    os.write(write_end, b"unread")
    left, right = socket.socketpair()
    left.sendmsg([b"in flight"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [read_end]))])
    named = socket.socket(socket.AF_UNIX)
    named.bind("named")
    named.listen()
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    client.send(b"on its way")
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    netlink.bind((0, 0))
    kept += [left, right, named, server, client, accepted, udp, netlink]
    poll = select.epoll()
    poll.register(read_end)
    libc.eventfd(7, 0)
    libc.syscall(SYS_TIMERFD_CREATE, 1, 0)
    watch = libc.syscall(SYS_INOTIFY_INIT)
    libc.inotify_add_watch(watch, b".", 2)
    libc.signalfd(-1, (ctypes.c_ulong * 16)(1 << 9), 0)
    libc.syscall(SYS_TIMER_CREATE, 1, None, ctypes.byref(ctypes.c_int()))
    os.memfd_create("memory")
    os.openpty()
    os.lockf(kept[2], os.F_LOCK, 10)  # type: ignore[arg-type]
    shared = mmap.mmap(-1, 8192)
    shared[:5] = b"bytes"
    mmap.mmap(deleted, 4096)
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.kill(os.getpid(), signal.SIGUSR2)
    signal.setitimer(signal.ITIMER_REAL, 3600, 3600)
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    if (child := os.fork()) == 0:
        os.setsid()
        os.fork()
        time.sleep(3600)
    libc.syscall(SYS_PIDFD_OPEN, child, 0)
    if os.fork() == 0:
        os.setpgid(0, 0)
        os._exit(3)
    time.sleep(0.2)
    os.write(1, b"ready\n")
    time.sleep(3600)


if __name__ == "__main__":
    main(sys.argv[1])
