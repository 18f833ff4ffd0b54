"""Rings of frames that a packet socket shares with its program (PACKET_RX_RING, PACKET_TX_RING), versions 1 and 2.

The kernel keeps its own place in each ring, which the program counts by itself; each frame's status tells whose it is.

We copy the frames that are the program's through a mapping of our own. Where the kernel is, a BPF iterator tells
(:mod:`crtool.kernel.packet_ring`). Frames go on coming in while a tree stands still. So we take those that had come
before a moment: a frame to which the kernel had gone on by then is whole when all that it was about is done, and one
that has come since is left out, as if it came too late.

We rebuild them in a new socket. The kernel begins at the first frame, so as many frames as are needed go through the
loopback device, under types that nobody has, before the socket hears of anything else. Then the frames get their
content.

Refused: version 3, whose blocks have numbers that go on for ever, and of which the kernel keeps half-filled ones.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import time
from collections.abc import Iterator

from crtool.abi import socket as abi
from crtool.errors import Obstacle
from crtool.kernel import packet_ring, sockets
from crtool.kernel.packet_diag import PacketInfo, Ring
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.sockets.option_table import device_index

__all__ = ["FrameRecord", "FrameRingRecord", "RingsRecord", "dump", "is_sound", "obstacle", "restore"]

_RX_RING, _TX_RING, _VERSION, _VNET_HDR, _VNET_HDR_SZ = 5, 13, 10, 15, 24  # PACKET_*
_REQUEST = struct.Struct("<IIII")  # struct tpacket_req: block size, blocks, frame size, frames
_ADDRESS = struct.Struct("<H2siHBB8s")  # struct sockaddr_ll
_STATUS = {0: struct.Struct("<Q"), 1: struct.Struct("<I")}  # by version: TPACKET_V1, _V2
_LENGTH_AT = {0: 8, 1: 4}
_OFFSETS_AT = {0: 16, 1: 12}  # of tp_mac, then tp_net
_DATA_AT = 32  # in a frame to be sent: TPACKET_HDRLEN without struct sockaddr_ll, the same for both
_SEND_REQUEST, _WRONG = 1, 4  # TP_STATUS_*
_MOST = 64 << 20  # bytes of frames of one socket
_MOST_FRAMES = 1 << 16  # of one ring, which take a restart a few seconds
_LEAST = 52  # bytes of a frame: TPACKET_HDRLEN of version 2, and of version 1 no more than this
_ETHERNET = 14  # bytes of a header of the loopback device
_TYPES = range(0xB800, 0xD000)  # EtherTypes of which none is given to anybody
_LOOPBACK = b"lo"
_PATIENCE = 5.0  # seconds for a frame to come by the loopback device


@dataclass(frozen=True)
class FrameRecord:
    """A frame that is the program's, or that it wants to be sent."""

    number: int
    content: bytes  # with the status at its beginning, as far as it is not zero


@dataclass(frozen=True)
class FrameRingRecord:
    """A ring; without any frames if there is none."""

    block_size: int  # bytes
    blocks: int
    frame_size: int  # bytes
    frames: int
    head: int  # the frame that the kernel uses next
    used: tuple[FrameRecord, ...]

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.block_size * self.blocks


@dataclass(frozen=True)
class RingsRecord:
    """The rings of a socket, which are mapped as one."""

    inode: int  # index of that memory among the inodes
    version: int  # PACKET_VERSION: 0 or 1
    received: FrameRingRecord
    sent: FrameRingRecord

    @property
    def size(self) -> int:
        """Bytes of the mapping."""
        return self.received.size + self.sent.size


def obstacle(file: OpenFile, where: str, info: PacketInfo) -> Obstacle | None:
    """Why the rings of the socket *file* cannot be saved, if so."""
    remedy = "close it first"
    if sockets.integer(file.local, abi.SOL_PACKET, _VERSION) not in _STATUS:
        cause = "a packet socket with a ring of version 3 (TPACKET_V3) cannot be saved"
        return Obstacle(file.pid, where, cause, remedy)
    if info.received.size + info.sent.size > _MOST or max(info.received.frames, info.sent.frames) > _MOST_FRAMES:
        cause = "a packet socket with rings of more than 64 MiB, or 65536 frames, cannot be saved"
        return Obstacle(file.pid, where, cause, remedy)
    try:
        packet_ring.heads(file.local)
        packet_ring.settle()
    except OSError as error:
        cause = f"a packet socket with a ring cannot be saved, since nothing tells of its place: {error.strerror}"
        return Obstacle(file.pid, where, cause, remedy)
    return None


def dump(fd: int, info: PacketInfo, inode: int) -> RingsRecord:
    """The rings of *fd*, a descriptor of ours; *inode*: the index of their memory. Raises OSError."""
    version = sockets.integer(fd, abi.SOL_PACKET, _VERSION)
    with mmap.mmap(fd, info.received.size + info.sent.size, access=mmap.ACCESS_READ) as memory:
        return RingsRecord(
            inode, version, _received(fd, memory, info.received, version), _sent(fd, memory, info, version)
        )


def _received(fd: int, memory: mmap.mmap, ring: Ring, version: int) -> FrameRingRecord:
    head, used = 0, list[FrameRecord]()
    for _ in range(2 if ring.frames else 0):
        head = packet_ring.heads(fd)[0]
        packet_ring.settle()
        used = list(_used(memory, 0, ring, version))
        came = (packet_ring.heads(fd)[0] - head) % ring.frames
        used = [frame for frame in used if (frame.number - head) % ring.frames >= came]
        # If it stays before a frame that is not its own, the ring is full, or has become so meanwhile: it rests now.
        if all(frame.number != head for frame in used):
            break
    return FrameRingRecord(ring.block_size, ring.blocks, ring.frame_size, ring.frames, head, tuple(used))


def _sent(fd: int, memory: mmap.mmap, info: PacketInfo, version: int) -> FrameRingRecord:
    """What is on its way goes there without the program, whose frame it is again when it has been sent."""
    ring, status = info.sent, _STATUS[version]
    used = [
        frame
        for frame in _used(memory, info.received.size, ring, version)
        if status.unpack(frame.content.ljust(status.size, b"\0")[: status.size])[0] & (_SEND_REQUEST | _WRONG)
    ]
    head = packet_ring.heads(fd)[1] if ring.frames else 0
    return FrameRingRecord(ring.block_size, ring.blocks, ring.frame_size, ring.frames, head, tuple(used))


def _place(ring: Ring | FrameRingRecord, start: int, number: int) -> int:
    """Where frame *number* is in the mapping, in which the ring begins at *start*."""
    block, frame = divmod(number, ring.block_size // ring.frame_size)
    return start + block * ring.block_size + frame * ring.frame_size


def _used(memory: mmap.mmap, start: int, ring: Ring, version: int) -> Iterator[FrameRecord]:
    size = _STATUS[version].size
    nothing = bytes(size)
    for number in range(ring.frames):
        at = _place(ring, start, number)
        if memory[at : at + size] != nothing:
            yield FrameRecord(number, memory[at : at + ring.frame_size].rstrip(b"\0"))


def is_sound(record: RingsRecord) -> bool:
    """Whether rings can be like that."""
    return record.version in _STATUS and 0 < record.size <= _MOST and all(map(_can_be, (record.received, record.sent)))


def _can_be(ring: FrameRingRecord) -> bool:
    if not ring.frames:
        return not any((ring.block_size, ring.blocks, ring.frame_size, ring.head, ring.used))
    if not (_LEAST <= ring.frame_size <= ring.block_size and 0 < ring.blocks and 0 <= ring.head < ring.frames):
        return False
    numbers = [frame.number for frame in ring.used]
    return (
        ring.frames == ring.blocks * (ring.block_size // ring.frame_size) <= _MOST_FRAMES
        and numbers == sorted(set(numbers) & set(range(ring.frames)))
        and all(len(frame.content) <= ring.frame_size for frame in ring.used)
    )


def restore(fd: int, record: RingsRecord, kind: int) -> None:
    """Gives *fd*, a new socket of *kind* that is not bound, rings like these. Raises OSError."""
    for ring, option in ((record.received, _RX_RING), (record.sent, _TX_RING)):
        if ring.frames:
            request = _REQUEST.pack(ring.block_size, ring.blocks, ring.frame_size, ring.frames)
            sockets.setsockopt(fd, abi.SOL_PACKET, option, request)
    index = device_index(fd, _LOOPBACK)
    # What was sent may still be under way when it is listened to the other one.
    first = _TYPES[int.from_bytes(os.urandom(4), "little") % (len(_TYPES) - 2)]
    there, back, nowhere = (_address(first + number, index) for number in range(3))
    with mmap.mmap(fd, record.size) as memory:
        if record.sent.head:
            _send(fd, record, memory, kind, there)
        if record.received.head:
            _receive(fd, record, memory, back, nowhere)
        for ring, start in ((record.received, 0), (record.sent, record.received.size)):
            content = {frame.number: frame.content for frame in ring.used}
            for number in range(ring.frames):
                at = _place(ring, start, number)
                memory[at : at + ring.frame_size] = content.get(number, b"").ljust(ring.frame_size, b"\0")


def _address(ethertype: int, index: int) -> bytes:
    """Of such frames by device *index*."""
    return _ADDRESS.pack(abi.AF_PACKET, ethertype.to_bytes(2, "big"), index, 0, 0, 6, b"")


def _send(fd: int, record: RingsRecord, memory: mmap.mmap, kind: int, address: bytes) -> None:
    """Lets the kernel come to its place in the second ring."""
    ring, status = record.sent, _STATUS[record.version]
    places = [_place(ring, record.received.size, number) for number in range(ring.head)]
    length = _header(fd) + (_ETHERNET if kind == abi.SOCK_RAW else 0) + 1  # zeros: it is for nobody
    for at in places:
        struct.pack_into("<I", memory, at + _LENGTH_AT[record.version], length)
        struct.pack_into("<HH", memory, at + _OFFSETS_AT[record.version], _DATA_AT, _DATA_AT)
        status.pack_into(memory, at, _SEND_REQUEST)
    sockets.sendto(fd, b"", address)
    if any(status.unpack_from(memory, at)[0] for at in places):
        raise OSError(0, "the loopback device does not take frames")


def _header(fd: int) -> int:
    """Bytes of a header of virtio, by which a frame begins (PACKET_VNET_HDR)."""
    try:
        return sockets.integer(fd, abi.SOL_PACKET, _VNET_HDR_SZ)
    except OSError as error:  # a kernel before PACKET_VNET_HDR_SZ: struct virtio_net_hdr
        if error.errno != errno.ENOPROTOOPT:
            raise
    return 10 if sockets.integer(fd, abi.SOL_PACKET, _VNET_HDR) else 0


def _receive(fd: int, record: RingsRecord, memory: mmap.mmap, address: bytes, nowhere: bytes) -> None:
    """Lets the kernel come to its place in the first ring. After that the socket is bound to *nowhere*: no protocol
    is no address to which one can go back.
    """
    ring, size = record.received, _STATUS[record.version].size
    nothing = bytes(size)
    sockets.bind(fd, address)
    with sockets.opened(abi.AF_PACKET, abi.SOCK_DGRAM, 0) as sender:
        for number in range(ring.head):
            at = _place(ring, 0, number)
            sockets.sendto(sender, b"!", address)
            if memory[at : at + size] == nothing:  # it has not come in the time of the call
                _await(memory, at, nothing)
    sockets.bind(fd, nowhere)  # which waits for what still comes
    at = _place(ring, 0, ring.head)
    if memory[at : at + size] != nothing:
        raise OSError(0, "somebody sends frames of a type that nobody has")


def _await(memory: mmap.mmap, at: int, nothing: bytes) -> None:
    until = time.monotonic() + _PATIENCE
    while memory[at : at + len(nothing)] == nothing:
        if time.monotonic() > until:
            raise OSError(0, "the loopback device does not bring frames")
        os.sched_yield()
