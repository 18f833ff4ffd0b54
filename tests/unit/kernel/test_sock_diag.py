"""Sockets of this process, as the kernel describes them by netlink."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from crtool.kernel import unix_diag
from crtool.kernel.sock_diag import SockDiag, attributes


@pytest.fixture
def line() -> Iterator[SockDiag]:
    with SockDiag() as made:
        yield made


def ask(line: SockDiag, sock: socket.socket) -> unix_diag.UnixSocket:
    found = unix_diag.by_inode(line, inode(sock))
    assert found is not None
    return found


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def test_attributes_are_padded_to_words() -> None:
    data = b"\x05\0\x01\0a\0\0\0" + b"\x04\0\x02\0" + b"\x08\0\x03\x80abcd"

    assert {1: b"a", 2: b"", 3: b"abcd"} == attributes(data)


def test_cut_attributes_end_the_walk() -> None:
    assert {} == attributes(b"\0\0\0\0\0\0\0\0")
    assert {} == attributes(b"\x05\0\x01")


def test_pair(line: SockDiag) -> None:
    """Both ends know each other, and what is unread."""
    one, other = socket.socketpair()
    with one, other:
        one.send(b"hello")
        other.shutdown(socket.SHUT_WR)
        near, far = ask(line, one), ask(line, other)

        assert (far.inode, near.inode) == (near.peer, far.peer)
        assert (unix_diag.ESTABLISHED, socket.SOCK_STREAM, None) == (near.state, near.kind, near.name)
        assert (0, 5) == (near.receive_queue, far.receive_queue)
        assert near.send_memory > 0
        assert (1, 2) == (near.shutdown, far.shutdown)


def test_waiting_clients(line: SockDiag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listening socket lists who waits, in their order; they have no peer that could be named."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("name")
        listener.listen(7)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in clients:
            client.connect("name")
        found = ask(line, listener)
        status = os.stat("name")

        assert (unix_diag.LISTEN, b"name", (status.st_dev, status.st_ino)) == (found.state, found.name, found.bound)
        assert tuple(map(inode, clients)) == found.waiting
        assert (3, 7) == (found.receive_queue, found.send_queue)
        assert [0, 0, 0] == [ask(line, client).peer for client in clients]
        for client in clients:
            client.close()


def test_abstract_datagram(line: SockDiag) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(b"\0crtool\0test%d" % os.getpid())
        found = ask(line, sock)

        assert (b"\0crtool\0test%d" % os.getpid(), None) == (found.name, found.bound)
        assert (unix_diag.UNCONNECTED, socket.SOCK_DGRAM) == (found.state, found.kind)


def test_all(line: SockDiag) -> None:
    """A dump has all of them, also when they need more than one message; the line is usable afterwards."""
    pairs = [socket.socketpair() for _ in range(300)]
    wanted = {inode(sock) for pair in pairs for sock in pair}

    assert wanted <= {found.inode for found in unix_diag.all_sockets(line)}
    next(unix_diag.all_sockets(line))
    assert inode(pairs[0][0]) == ask(line, pairs[0][0]).inode
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_no_such_socket(line: SockDiag) -> None:
    one, other = socket.socketpair()
    number = inode(one)
    one.close()
    other.close()

    assert unix_diag.by_inode(line, number) is None
