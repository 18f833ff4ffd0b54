"""An image that an earlier crtool wrote is still read, and the writer still writes it so, byte by byte.

When the format changes on purpose: raise ``VERSION`` in header.py, change docs/image-format.md, and add a new golden
file beside the old ones, by :func:`write` of this module.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
from xxhash import xxh3_128_digest

from crtool.image.codec import pack, unpack
from crtool.image.layout import DataLayout, Segment
from crtool.image.reader import ImageReader
from crtool.image.writer import ImageWriter

GOLDEN = Path(__file__).parent / "golden" / "format-1.img"


class State(enum.IntEnum):
    RUNNING = 0
    STOPPED = 5


@dataclass(frozen=True)
class Pipe:
    size: int
    unread: bytes


@dataclass(frozen=True)
class Regular:
    path: bytes
    offset: int
    content: Segment | None


@dataclass(frozen=True)
class Process:
    pid: int
    name: str
    state: State
    nice: int | None
    load: float
    stopped: bool
    sigmask: tuple[int, ...]
    device: tuple[int, int]
    files: dict[int, Pipe | Regular]
    limits: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Golden:
    processes: tuple[Process, ...]


LAYOUT = DataLayout(4096)
CONTENT = LAYOUT.reserve(11)
PAGES = LAYOUT.reserve(8192)
RECORD = Golden(
    (
        Process(
            4711, "wörker", State.STOPPED, None, 0.5, True, (1, 2**64 - 1), (8, 1),
            {0: Pipe(65536, b"unread"), 7: Regular(b"/tmp/\xff", 2**40, CONTENT)}, {"nofile": (1024, 2**64 - 1)},
        ),
        Process(4712, "", State.RUNNING, -20, -1.0, False, (), (0, 0), {1: Regular(b"/", 0, None)}, {}),
    )
)  # fmt: skip


def write(path: Path) -> None:
    """The golden image as today's writer writes it."""
    with ImageWriter.create(path) as image:
        image.begin(cpu="x86_64", page_size=4096, records=pack(RECORD), data_length=LAYOUT.length, chunk_size=65536)
        image.append(b"hello world")
        image.pad()
        image.append(bytes(range(256)) * 32)
        image.finish()


def test_the_golden_image_is_read() -> None:
    with ImageReader.open(GOLDEN) as image:
        image.verify()
        assert unpack(image.records, Golden) == RECORD
        view = memoryview(bytearray(11))
        image.read_data(view)
        assert bytes(view) == b"hello world"
        image.skip_to(PAGES.offset)
        view = memoryview(bytearray(8192))
        image.read_data(view)
        assert view == bytes(range(256)) * 32


def test_the_writer_still_writes_it(tmp_path: Path) -> None:
    write(tmp_path / "a.img")

    assert (tmp_path / "a.img").read_bytes() == GOLDEN.read_bytes()


def test_a_second_reader_can_be_written_from_the_documentation() -> None:
    """Every offset of docs/image-format.md once more, with nothing of crtool's."""
    raw = GOLDEN.read_bytes()
    magic, version, flags, cpu, page, chunk, records_length, data_length, records_hash = struct.unpack_from(
        "<8sII16sIIQQ16s", raw
    )

    assert (magic, version, flags, cpu.rstrip(b"\0"), page) == (b"\x89CRT\r\n\x1a\n", 1, 0, b"x86_64", 4096)
    assert not any(raw[72:4080])
    assert xxh3_128_digest(raw[:4080]) == raw[4080:4096]

    records = raw[4096 : 4096 + records_length]
    data_offset = -(-(4096 + records_length) // page) * page

    assert xxh3_128_digest(records) == records_hash
    assert not any(raw[4096 + records_length : data_offset])

    schema, record = msgpack.unpackb(records, strict_map_key=False)

    assert schema[0] == ["test_golden.Golden", [["processes", "[test_golden.Process]"]]]
    assert [name.rpartition(".")[2] for name, _ in schema] == ["Golden", "Process", "Pipe", "Regular", "Segment"]
    assert dict(dict(schema)["test_golden.Process"]) == {
        "pid": "int",
        "name": "str",
        "state": "State:int",
        "nice": "int?",
        "load": "float",
        "stopped": "bool",
        "sigmask": "[int]",
        "device": "(int, int)",
        "files": "{int: test_golden.Pipe | test_golden.Regular}",
        "limits": "{str: (int, int)}",
    }
    assert record[0][0][8] == {0: [2, [65536, b"unread"]], 7: [3, [b"/tmp/\xff", 2**40, [0, 11]]]}

    data = raw[data_offset : data_offset + data_length]
    count = -(-data_length // chunk)
    trailer = raw[data_offset + data_length :]
    hashes, tail = trailer[: 16 * count], trailer[16 * count :]
    root, file_length, end_magic, checksum = struct.unpack("<32sQ8s16s", tail)

    assert hashes == b"".join(xxh3_128_digest(data[i * chunk : (i + 1) * chunk]) for i in range(count))
    assert root == blake2b(raw[:data_offset] + hashes, digest_size=32).digest()
    assert file_length == len(raw)
    assert end_magic == b"CRTend\r\n"
    assert checksum == xxh3_128_digest(trailer[:-16])
