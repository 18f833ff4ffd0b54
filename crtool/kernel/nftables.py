"""Holding connections still: a table of nf_tables that drops their segments in both directions.

A table that is *owned* lives as long as the line by which it was made, and so no longer than crtool. One that is not
stays until somebody deletes it: ``nft delete table inet NAME``.

Sources: linux/netfilter/nf_tables.h, net/netfilter/nf_tables_api.c; the layout of concatenated keys is that of nft(8).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence

from crtool.abi import nftables as abi

__all__ = ["MARK", "Tuple", "hold", "release", "why_not"]

MARK = 0x6372_746C
"""Packets with this mark pass."""

Tuple = tuple[bytes, int, bytes, int]
"""Here, port, there, port: hosts of 4 or 16 bytes."""

_HEADER = struct.Struct("<IHHII")  # struct nlmsghdr: length, type, flags, sequence number, port
_SO_SNDBUFFORCE = 32
_CHUNK = 500  # elements in one message: its attributes hold at most 64 KiB
_TYPES = {4: (7 << 18) | (13 << 12) | (7 << 6) | 13, 16: (8 << 18) | (13 << 12) | (8 << 6) | 13}  # ipaddr . port . …
_SET = {4: "four", 16: "six"}
_PROTOCOL = {4: abi.NFPROTO_IPV4, 16: abi.NFPROTO_IPV6}
_OFFSETS = {4: (12, 16), 16: (8, 24)}  # of source and destination in the header
_PRIORITY = -500  # before anybody else's chains: connection tracking is at −200


def hold(name: str, connections: Sequence[Tuple], *, owned: bool) -> socket.socket:
    """Makes table *name*, which drops all segments of *connections*, those with MARK excepted.

    Returns the line that it is owned by, if it is. Raises OSError.
    """
    line = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, abi.NETLINK_NETFILTER)
    try:
        line.bind((0, 0))
        _transact(line, list(_table(name, connections, owned=owned)))
    except BaseException:
        line.close()
        raise
    return line


def release(name: str) -> bool:
    """Deletes table *name*; says whether there was one."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, abi.NETLINK_NETFILTER) as line:
        line.bind((0, 0))
        try:
            _transact(line, [(abi.DELTABLE, 0, _text(abi.TABLE_NAME, name))])
        except OSError:
            return False
    return True


def why_not() -> str | None:
    """Why connections cannot be held still here, if so."""
    try:
        hold(f"crtool-probe-{os.getpid()}", [(bytes(4), 1, bytes(4), 1)], owned=True).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _table(name: str, connections: Sequence[Tuple], *, owned: bool) -> Iterator[tuple[int, int, bytes]]:
    flags = _number(abi.TABLE_FLAGS, abi.TABLE_F_OWNER) if owned else b""
    new = abi.NLM_F_CREATE | abi.NLM_F_EXCL
    yield abi.NEWTABLE, new, _text(abi.TABLE_NAME, name) + flags
    for number, (width, set_name) in enumerate(_SET.items()):
        yield abi.NEWSET, new, (
            _text(abi.SET_TABLE, name) + _text(abi.SET_NAME, set_name) + _number(abi.SET_FLAGS, 0)
            + _number(abi.SET_KEY_TYPE, _TYPES[width]) + _number(abi.SET_KEY_LEN, 2 * width + 8)
            + _number(abi.SET_ID, number + 1)
        )  # fmt: skip
        keys = [_key(*connection) for connection in connections if len(connection[0]) == width]
        for first in range(0, len(keys), _CHUNK):
            elements = b"".join(_element(key) for key in keys[first : first + _CHUNK])
            head = _text(abi.ELEMENTS_TABLE, name) + _text(abi.ELEMENTS_SET, set_name)
            yield abi.NEWSETELEM, abi.NLM_F_CREATE, head + _nested(abi.ELEMENTS_ELEMENTS, elements)
    for chain, hook in (("in", abi.INET_LOCAL_IN), ("out", abi.INET_LOCAL_OUT)):
        place = _number(abi.HOOK_HOOKNUM, hook) + _number(abi.HOOK_PRIORITY, _PRIORITY)
        head = _text(abi.CHAIN_TABLE, name) + _text(abi.CHAIN_NAME, chain)
        yield abi.NEWCHAIN, new, head + _nested(abi.CHAIN_HOOK, place) + _text(abi.CHAIN_TYPE, "filter")
        head = _text(abi.RULE_TABLE, name) + _text(abi.RULE_CHAIN, chain)
        append = abi.NLM_F_CREATE | abi.NLM_F_APPEND
        yield abi.NEWRULE, append, head + _nested(abi.RULE_EXPRESSIONS, _pass_marked())
        for number, (width, set_name) in enumerate(_SET.items()):
            rule = _drop_members(width, set_name, number + 1, incoming=chain == "in")
            yield abi.NEWRULE, append, head + _nested(abi.RULE_EXPRESSIONS, rule)


def _pass_marked() -> bytes:
    mark = struct.pack("<I", MARK)
    return _meta(abi.META_MARK) + _equal(mark) + _verdict(abi.NF_ACCEPT)


def _drop_members(width: int, set_name: str, number: int, *, incoming: bool) -> bytes:
    """The key is here, port, there, port: what comes in has here as its destination."""
    source, destination = _OFFSETS[width]
    here, there = (destination, source) if incoming else (source, destination)
    ports = (2, 0) if incoming else (0, 2)
    register = abi.REG32_00
    loads = b""
    for base, offset, length in (
        (abi.NETWORK_HEADER, here, width),
        (abi.TRANSPORT_HEADER, ports[0], 2),
        (abi.NETWORK_HEADER, there, width),
        (abi.TRANSPORT_HEADER, ports[1], 2),
    ):
        loads += _expression(
            "payload",
            _number(abi.PAYLOAD_DREG, register) + _number(abi.PAYLOAD_BASE, base)
            + _number(abi.PAYLOAD_OFFSET, offset) + _number(abi.PAYLOAD_LEN, length),
        )  # fmt: skip
        register += -(-length // 4)
    lookup = (
        _text(abi.LOOKUP_SET, set_name) + _number(abi.LOOKUP_SREG, abi.REG32_00) + _number(abi.LOOKUP_SET_ID, number)
    )
    return (
        _meta(abi.META_NFPROTO) + _equal(bytes([_PROTOCOL[width]]))
        + _meta(abi.META_L4PROTO) + _equal(bytes([socket.IPPROTO_TCP]))
        + loads + _expression("lookup", lookup) + _verdict(abi.NF_DROP)
    )  # fmt: skip


def _meta(key: int) -> bytes:
    return _expression("meta", _number(abi.META_KEY, key) + _number(abi.META_DREG, abi.REG32_00))


def _equal(value: bytes) -> bytes:
    return _expression(
        "cmp",
        _number(abi.CMP_SREG, abi.REG32_00) + _number(abi.CMP_OP, abi.CMP_EQ)
        + _nested(abi.CMP_DATA, _attribute(abi.DATA_VALUE, value)),
    )  # fmt: skip


def _verdict(code: int) -> bytes:
    verdict = _nested(abi.DATA_VERDICT, _number(abi.VERDICT_CODE, code))
    return _expression(
        "immediate", _number(abi.IMMEDIATE_DREG, abi.REG_VERDICT) + _nested(abi.IMMEDIATE_DATA, verdict)
    )


def _key(here: bytes, port: int, there: bytes, other: int) -> bytes:
    return here + struct.pack(">HH", port, 0) + there + struct.pack(">HH", other, 0)


def _element(key: bytes) -> bytes:
    return _nested(abi.LIST_ELEM, _nested(abi.ELEMENT_KEY, _attribute(abi.DATA_VALUE, key)))


def _expression(name: str, content: bytes) -> bytes:
    return _nested(abi.LIST_ELEM, _text(abi.EXPR_NAME, name) + _nested(abi.EXPR_DATA, content))


# -- netlink ---------------------------------------------------------------------------------------------


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("<HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def _nested(kind: int, content: bytes) -> bytes:
    return _attribute(kind | abi.NLA_F_NESTED, content)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">i" if value < 0 else ">I", value))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _message(kind: int, flags: int, number: int, family: int, resource: int, body: bytes) -> bytes:
    head = struct.pack("<BB", family, 0) + struct.pack(">H", resource)  # struct nfgenmsg
    return _HEADER.pack(_HEADER.size + len(head) + len(body), kind, flags | abi.NLM_F_REQUEST, number, 0) + head + body


def _transact(line: socket.socket, messages: Sequence[tuple[int, int, bytes]]) -> None:
    """Sends all messages as one transaction and waits for its end; raises OSError, and then nothing has changed."""
    subsystem = abi.NFNL_SUBSYS_NFTABLES
    batch = _message(abi.NFNL_MSG_BATCH_BEGIN, 0, 0, 0, subsystem, b"")
    for number, (kind, flags, body) in enumerate(messages, 1):
        # Only the last is answered if all is well; the first that fails always is.
        flags |= abi.NLM_F_ACK if number == len(messages) else 0
        batch += _message(subsystem << 8 | kind, flags, number, abi.NFPROTO_INET, 0, body)
    batch += _message(abi.NFNL_MSG_BATCH_END, 0, len(messages) + 1, 0, subsystem, b"")
    try:
        line.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 2 * len(batch))
    except PermissionError:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(batch))
    line.sendto(batch, (0, 0))
    while True:
        data = line.recv(1 << 16)
        _, kind, _, number, _ = _HEADER.unpack_from(data)
        if kind != abi.NLMSG_ERROR:
            continue
        (error,) = struct.unpack_from("<i", data, _HEADER.size)
        if error:
            raise OSError(-error, f"nf_tables: {os.strerror(-error)}")
        if number == len(messages):
            return
