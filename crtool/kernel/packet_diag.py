"""What the kernel tells of packet sockets by sock_diag(7): memberships, rings, fanout groups.

Source: include/uapi/linux/packet_diag.h.
"""

from __future__ import annotations

import struct

from crtool.abi.socket import AF_PACKET
from crtool.kernel.sock_diag import SockDiag, attributes
from crtool.record import dataclass

__all__ = ["Membership", "PacketInfo", "Ring", "look"]

_REQUEST = struct.Struct("<BBxxIIII")  # struct packet_diag_req: family, protocol, inode, what to show, cookie
_MESSAGE = struct.Struct("<BBHIII")  # struct packet_diag_msg: family, type, protocol, inode, cookie
_SHOW = 2 | 4 | 8  # memberships, rings, fanout
_MEMBERSHIPS, _RX_RING, _TX_RING, _FANOUT = 1, 2, 3, 4
_MEMBERSHIP = struct.Struct("<IIHH32s")  # struct packet_diag_mclist


@dataclass(frozen=True)
class Membership:
    """What a socket wants to receive beyond what its device receives anyway."""

    index: int  # of the network device
    count: int  # how often it was asked for
    kind: int  # PACKET_MR_*
    address: bytes


@dataclass(frozen=True)
class Ring:
    """A ring of frames; nothing but zeros if there is none."""

    block_size: int  # bytes
    blocks: int
    frame_size: int  # bytes
    frames: int

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.block_size * self.blocks


@dataclass(frozen=True)
class PacketInfo:
    """What no option of the socket tells."""

    memberships: tuple[Membership, ...]
    received: Ring  # PACKET_RX_RING
    sent: Ring  # PACKET_TX_RING
    fanout: int | None  # id and type

    @property
    def has_ring(self) -> bool:
        """Whether there is one."""
        return bool(self.received.frames or self.sent.frames)


def look(inode: int) -> PacketInfo | None:
    """About the packet socket with *inode* in the own network namespace; None if there is none. Raises OSError."""
    with SockDiag() as line:
        for answer in line.all(_REQUEST.pack(AF_PACKET, 0, 0, _SHOW, 0, 0)):
            if _MESSAGE.unpack_from(answer)[3] == inode:
                return _info(attributes(answer[_MESSAGE.size :]))
    return None


def _info(found: dict[int, bytes]) -> PacketInfo:
    memberships = tuple(
        Membership(index, count, kind, address[:length])
        for index, count, kind, length, address in _MEMBERSHIP.iter_unpack(found.get(_MEMBERSHIPS, b""))
    )
    received, sent = (Ring(*struct.unpack_from("<IIII", found.get(key, bytes(16)))) for key in (_RX_RING, _TX_RING))
    fanout = int.from_bytes(found[_FANOUT], "little") if _FANOUT in found else None
    return PacketInfo(memberships, received, sent, fanout)
