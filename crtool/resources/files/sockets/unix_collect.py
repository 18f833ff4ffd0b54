"""Collecting the unix sockets of a frozen tree, with what is in flight in them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection

from crtool.errors import ObstacleError
from crtool.kernel.unix_diag import ESTABLISHED, LISTEN, UnixSocket
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.record import replace
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.outside import Outside
from crtool.resources.files.sockets import unix
from crtool.resources.files.sockets.guard import Guard
from crtool.resources.files.sockets.unix import MessageRecord, UnixRecord
from crtool.resources.files.sockets.unix_outside import census, obstacles_of
from crtool.resources.files.sockets.unix_queues import Message, read_queue

__all__ = ["UnixSockets"]


class UnixSockets:
    """The unix sockets of an image under way."""

    def __init__(self, policy: str, guard: Guard) -> None:
        """*policy*: for those whose other end is outside: "refuse", "close", "reconnect"."""
        self.warnings: list[str] = []
        self._policy = policy
        self._guard = guard
        self._known: dict[int, UnixSocket] | None = None
        self._places: dict[int, tuple[int, int]] = {}
        self._queues: dict[int, list[Message]] = {}
        self._groups: dict[int, tuple[int, ...]] = {}  # of a process
        self._settled: set[int] = set()

    def close(self) -> None:
        """Closes the descriptors that were in flight."""
        for queue in self._queues.values():
            for message in queue:
                for fd in message.fds:
                    os.close(fd)
        self._queues.clear()

    def dump(self, file: OpenFile) -> UnixRecord:
        """The record of *file*, without what is in flight: that comes by :meth:`settle`."""
        if self._known is None:
            self._known = census()
        info = self._known[unix.inode_of(file)]
        self._places[info.inode] = (file.pid, file.fd)
        if info.kind != socket.SOCK_STREAM and unix.has_error(file.local):
            # Nobody can look at these messages without taking the error that comes first.
            self.warnings.append(
                f"PID {file.pid} fd {file.fd}: the error ECONNRESET, by which the other end has gone, is lost"
            )
        if info.state != LISTEN:
            self._queues[info.inode] = read_queue(
                file.local, info.kind, info.receive_queue, info.shutdown, self._guard
            )
        connects = self._policy == unix.RECONNECT or (info.state == ESTABLISHED and not info.peer)
        return unix.dump(file, info, self._groups_of(file.pid) if connects else None)

    def _groups_of(self, pid: int) -> tuple[int, ...]:
        if pid not in self._groups:
            self._groups[pid] = tuple(sorted(status_file.later(read(pid, "status")).groups))
        return self._groups[pid]

    def settle(self, record: UnixRecord, index_of: Callable[[int, tuple[int, int]], int]) -> UnixRecord:
        """*record* with its messages; *index_of* gives the index of an open file description that is in flight, by our
        descriptor for it, in a socket that a process and its descriptor have.
        """
        if not self._queues.get(record.inode):
            return record
        place = self._places[record.inode]
        messages = tuple(
            MessageRecord(
                message.data,
                tuple(index_of(fd, place) for fd in message.fds),
                message.sender,
                message.source,
                message.urgent,
            )
            for message in self._queues[record.inode]
        )
        return replace(record, messages=messages)

    def conclude(self, record: UnixRecord, tree: Collection[int]) -> UnixRecord:
        """*record*, when all sockets are known: with what becomes of its other end. Raises ObstacleError."""
        assert self._known is not None
        if not self._settled:
            self._settled.add(0)
            outside = Outside(tree)
            found = list(obstacles_of(self._places, self._known, outside, self._policy, in_flight=False))
            if found:
                raise ObstacleError(found)
        if record.state == LISTEN:
            return self._listening(record)
        if record.peer in self._places or record.state != ESTABLISHED:
            return record
        if record.peer:
            return self._outside(record)
        if record.kind != socket.SOCK_DGRAM:
            listener = next((info for info in self._known.values() if record.inode in info.waiting), None)
            if listener is None:
                return record
            return record if listener.inode in self._places else self._outside(record)
        return record

    def _outside(self, record: UnixRecord) -> UnixRecord:
        pid, fd = self._places[record.inode]
        fate = self._policy if self._policy == unix.RECONNECT and record.peer_name else unix.CLOSE
        what = "is connected again at a restart" if fate == unix.RECONNECT else "comes back disconnected"
        other = unix.shown_name(record.peer_name)
        self.warnings.append(f"PID {pid} fd {fd}: connected to {other} outside the tree: it {what}")
        return replace(record, peer=0, fate=fate)

    def _listening(self, record: UnixRecord) -> UnixRecord:
        pid, fd = self._places[record.inode]
        kept = tuple(client for client in record.waiting if not client or client in self._places)
        if len(kept) < len(record.waiting):
            lost = len(record.waiting) - len(kept)
            self.warnings.append(f"PID {pid} fd {fd}: {lost} clients outside the tree that wait do not come back")
        if 0 in kept:
            self.warnings.append(f"PID {pid} fd {fd}: what clients that have gone sent before being accepted is lost")
        return replace(record, waiting=kept)
