"""An image is read from a file or a pipe, and what is not exactly an image is refused."""

from __future__ import annotations

import os
import random
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_128_digest

from crtool.errors import EnvironmentDiffers, ImageError, NotFound
from crtool.image.header import HEADER_LENGTH, Header, judge
from crtool.image.reader import ImageReader

RECORDS = b"records of a tiny image"
DATA = random.Random(1).randbytes(3 * 4096)
MakeImage = Callable[..., Path]
Piped = Callable[[bytes], int]


@pytest.fixture
def image(tmp_path: Path, make_image: MakeImage) -> Path:
    return make_image(tmp_path / "a.crt", RECORDS, DATA)


def resealed(page: bytes, offset: int, value: bytes) -> bytes:
    """A header page with something else in it and a checksum that matches."""
    changed = page[:offset] + value + page[offset + len(value) : -16]
    return changed + xxh3_128_digest(changed)


def test_a_file_can_be_read_by_position_and_in_order(image: Path) -> None:
    with ImageReader.open(image) as reader:
        assert (reader.info.cpu, reader.info.page_size, reader.records) == ("x86_64", 4096, RECORDS)
        assert not reader.is_stream
        assert os.pread(reader.fileno(), 4096, reader.data_offset + 4096) == DATA[4096:8192]
        assert not os.get_inheritable(reader.fileno())

        view = memoryview(bytearray(100))
        reader.read_data(view)
        assert view == DATA[:100]
        reader.skip_to(5000)
        reader.read_data(view)
        assert view == DATA[5000:5100]
        assert reader.position == 5100
        reader.finish()
        reader.verify()
        reader.finish()


def test_a_pipe_is_read_in_order(image: Path, piped: Piped) -> None:
    fd = piped(image.read_bytes())
    with ImageReader.from_descriptor(fd) as reader:
        assert reader.is_stream
        assert reader.records == RECORDS
        view = memoryview(bytearray(len(DATA) - 4096))
        reader.skip_to(4096)
        reader.read_data(view)
        assert view == DATA[4096:]
        reader.finish()
        reader.finish()
    os.close(fd)


def test_a_pipe_can_be_verified(image: Path, piped: Piped) -> None:
    seen: list[tuple[int, int]] = []
    fd = piped(image.read_bytes())
    with ImageReader.from_descriptor(fd) as reader:
        reader.verify(lambda done, total: seen.append((done, total)))
    os.close(fd)

    assert seen[-1] == (len(DATA), len(DATA))


def test_a_file_on_standard_input_is_a_file(image: Path) -> None:
    with image.open("rb") as file, ImageReader.from_descriptor(file.fileno()) as reader:
        assert not reader.is_stream
        reader.verify()


def test_a_named_pipe_is_a_pipe(image: Path, tmp_path: Path, piped: Piped) -> None:
    fd = piped(image.read_bytes())
    with ImageReader.open(f"/proc/self/fd/{fd}") as reader:
        assert reader.is_stream
        reader.verify()
    os.close(fd)


def test_verify_reports_progress(tmp_path: Path, make_image: MakeImage) -> None:
    seen: list[tuple[int, int]] = []
    path = make_image(tmp_path / "a.crt", RECORDS, bytes(65536 * 5 + 4096), chunk_size=65536)
    with ImageReader.open(path) as reader:
        reader.verify(lambda done, total: seen.append((done, total)))

    assert seen[-1] == (65536 * 5 + 4096, 65536 * 5 + 4096)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_damaged_chunks_are_named(tmp_path: Path, make_image: MakeImage) -> None:
    path = make_image(tmp_path / "a.crt", RECORDS, bytes(65536 * 6), chunk_size=65536)
    base = 8192
    with path.open("r+b") as file:
        for chunk in (1, 2, 5):
            file.seek(base + chunk * 65536 + 77)
            file.write(b"!")

    expected = f"data, bytes {base + 65536}–{base + 3 * 65536 - 1}: the checksum does not match; 1 more of 6 chunks"
    with ImageReader.open(path) as reader, pytest.raises(ImageError, match=expected):
        reader.verify()
    with ImageReader.open(path) as reader, pytest.raises(ImageError, match=expected):
        reader.finish()


def test_what_the_records_want_must_be_there(image: Path) -> None:
    with ImageReader.open(image) as reader:
        for offset, length in ((0, len(DATA) + 1), (len(DATA), 1), (2**63, 1)):
            with pytest.raises(ImageError, match="does not have"):
                reader.read_at(offset, memoryview(bytearray(length)))
        with pytest.raises(ImageError, match="does not have"):
            reader.skip_to(len(DATA) + 1)
        reader.skip_to(len(DATA) - 1)
        with pytest.raises(ImageError, match="does not have"):
            reader.read_data(memoryview(bytearray(2)))
        with pytest.raises(ImageError, match="come by already"):
            reader.skip_to(0)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\x7fELF" + bytes(5000), "not an image of crtool"),
        (b"#!/bin/sh\n", "not an image of crtool"),
        (b"\x89CRT", "header: the file ends after 4 bytes"),
    ],
)
def test_what_is_no_image(tmp_path: Path, content: bytes, complaint: str, piped: Piped) -> None:
    path = tmp_path / "a.crt"
    path.write_bytes(content)

    with pytest.raises(ImageError, match=complaint) as caught:
        ImageReader.open(path)
    assert caught.value.status == 123
    fd = piped(content)
    with pytest.raises(ImageError, match=complaint):
        ImageReader.from_descriptor(fd)
    os.close(fd)


def test_where_no_image_can_be(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such image") as caught:
        ImageReader.open(tmp_path / "none.crt")
    assert caught.value.status == 127
    with pytest.raises(ImageError, match="a folder"):
        ImageReader.open(tmp_path)
    with pytest.raises(ImageError, match="device"):
        ImageReader.open("/dev/null")
    with open("/dev/zero", "rb") as zero, pytest.raises(ImageError, match="device"):
        ImageReader.from_descriptor(zero.fileno())
    with pytest.raises(ImageError, match="cannot be read"):
        ImageReader.from_descriptor(987)


PAGE = Header("x86_64", 4096, 10, 8192, bytes(16)).pack()


@pytest.mark.parametrize(
    ("offset", "value", "complaint"),
    [
        (8, struct.pack("<I", 2), "format version 2, and this crtool reads version 1"),
        (16, b"riscv64\0", "the CPU 'riscv64', which this crtool does not know"),
        (16, b"\x1b\xff'\n" + bytes(12), "the CPU .*, which this crtool does not know"),
        (12, struct.pack("<I", 0x80), "feature flags 0x80"),
        (32, struct.pack("<I", 5000), "no CPU has pages of 5000 bytes"),
        (36, struct.pack("<I", 4096), "chunks of 4096 bytes"),
        (36, struct.pack("<I", 0), "chunks of 0 bytes"),
        (36, struct.pack("<I", 3 << 20), "chunks of 3145728 bytes"),
        (40, struct.pack("<Q", 2**64 - 1), "lengths of the sections are impossible"),
        (48, struct.pack("<Q", 2**63), "lengths of the sections are impossible"),
        (48, struct.pack("<Q", 4097), "lengths of the sections are impossible"),
        (72, b"x", "something where nothing may be"),
    ],
)
def test_a_header_with_a_right_checksum_is_judged_all_the_same(offset: int, value: bytes, complaint: str) -> None:
    with pytest.raises(ImageError, match=complaint) as caught:
        judge(resealed(PAGE, offset, value), "a.crt")

    assert caught.value.message.startswith("a.crt: ")
    assert "\n" not in caught.value.message


def test_another_machine_is_refused_where_it_matters() -> None:
    header = judge(PAGE, "a.crt")

    header.require_cpu("x86_64", 4096, "a.crt")
    with pytest.raises(EnvironmentDiffers, match="made on x86_64, and this machine is aarch64") as caught:
        header.require_cpu("aarch64", 4096, "a.crt")
    assert caught.value.status == 126
    with pytest.raises(EnvironmentDiffers, match="pages of 4096 bytes"):
        header.require_cpu("x86_64", 16384, "a.crt")


@pytest.mark.parametrize("field", [40, 48])
def test_lengths_that_lie_take_no_memory(tmp_path: Path, field: int, piped: Piped) -> None:
    page = resealed(PAGE, field, struct.pack("<Q", 1 << 60))
    path = tmp_path / "a.crt"
    path.write_bytes(page + bytes(20000))
    fd = piped(page + bytes(20000))
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="damaged"):
            ImageReader.open(path)
        with pytest.raises(ImageError, match="damaged"), ImageReader.from_descriptor(fd) as reader:
            reader.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        os.close(fd)

    assert peak < 4 << 20


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_fields_in_a_header_give_an_image_error(data: st.DataObject, piped: Piped) -> None:
    page = PAGE
    for _ in range(data.draw(st.integers(1, 3))):
        offset = data.draw(st.integers(8, 90))
        page = resealed(page, offset, data.draw(st.binary(min_size=1, max_size=8)))
    fd = piped(page + data.draw(st.binary(max_size=200)))
    try:
        with pytest.raises(ImageError) as caught, ImageReader.from_descriptor(fd) as reader:
            reader.finish()
    finally:
        os.close(fd)

    assert "\n" not in caught.value.message


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), with_magic=st.booleans())
def test_any_bytes_are_no_image(data: bytes, with_magic: bool, piped: Piped) -> None:
    fd = piped(PAGE[:8] + data if with_magic else data)
    try:
        with pytest.raises(ImageError):
            ImageReader.from_descriptor(fd)
    finally:
        os.close(fd)


def test_descriptors_are_closed_whatever_happens(image: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.crt").write_bytes(image.read_bytes()[:-1])
    before = len(os.listdir("/proc/self/fd"))
    with ImageReader.open(image):
        pass
    with pytest.raises(ImageError):
        ImageReader.open(tmp_path / "bad.crt")

    assert len(os.listdir("/proc/self/fd")) == before


def test_the_header_is_one_page() -> None:
    assert len(PAGE) == HEADER_LENGTH
    assert judge(PAGE, "a.crt") == Header("x86_64", 4096, 10, 8192, bytes(16))
