"""Compressed images: written, read in order and by position, damaged, and restarted."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from crtool.arch import cpu
from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.engine.verify import verify
from crtool.errors import ImageError
from crtool.image.compression import choose, decompress
from crtool.image.reader import ImageReader
from crtool.image.writer import ImageWriter

from .victim import changed, victim

CODECS = ["lz4", "zstd", "zstd:9", "auto"]
LENGTH = (3 << 20) + 5 * 4096


def content() -> bytes:
    """A MiB that can be compressed, one that cannot, and again one that can."""
    random.seed(7)
    words = random.randbytes(64) * (1 << 14)
    return words + random.randbytes(1 << 20) + words + bytes(5 * 4096)


def write(path: Path, codec: str, data: bytes) -> int:
    """An image of *data*; returns its length."""
    with ImageWriter.create(path, compressor=choose(codec)) as image:
        image.begin(cpu=cpu.NAME, page_size=4096, records=b"records", data_length=len(data))
        image.append(data)
        return image.finish()


@pytest.mark.parametrize("codec", CODECS)
def test_what_was_written_is_read(codec: str, tmp_path: Path) -> None:
    data = content()
    size = write(tmp_path / "image", codec, data)

    assert (tmp_path / "image").stat().st_size == size < len(data) // 2
    with ImageReader.open(tmp_path / "image") as image:
        image.verify()
        assert not image.is_plain
        for begin, length in ((0, 10), (1 << 20, 4096), ((1 << 20) - 5, 10), (0, LENGTH), (LENGTH - 1, 1)):
            view = bytearray(length)
            image.read_at(begin, memoryview(view))
            assert data[begin : begin + length] == view


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_pipe_brings_the_same(codec: str, tmp_path: Path) -> None:
    data = content()
    write(tmp_path / "image", codec, data)
    reader, writer = os.pipe()

    def pour() -> None:
        with open(writer, "wb") as pipe:
            pipe.write((tmp_path / "image").read_bytes())

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        with ImageReader.from_descriptor(reader) as image:
            view = bytearray(5000)
            image.skip_to((1 << 20) - 2500)
            image.read_data(memoryview(view))
            image.finish()
    finally:
        os.close(reader)
        thread.join()

    assert data[(1 << 20) - 2500 :][:5000] == view


@pytest.mark.parametrize("stream", [False, True])
def test_every_flip_and_every_cut_is_found(stream: bool, tmp_path: Path) -> None:
    image = tmp_path / "image"
    write(image, "lz4", content())
    whole = image.read_bytes()
    random.seed(1)
    begin = 8192  # of the data area
    places = [*range(begin, begin + 16), len(whole) - 65, len(whole) - 1, *random.sample(range(begin, len(whole)), 60)]
    for place in places:
        for bad in (whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], whole[:place]):
            image.write_bytes(bad)
            with pytest.raises(ImageError), open(image, "rb") as file:
                if stream:
                    os.lseek(file.fileno(), 0, os.SEEK_SET)
                    read_as_a_stream(bad)
                else:
                    with ImageReader.open(image) as reader:
                        reader.verify()


def read_as_a_stream(data: bytes) -> None:
    """Reads an image from a pipe to its end."""
    reader, writer = os.pipe()

    def pour() -> None:
        try:
            with open(writer, "wb") as pipe:
                pipe.write(data)
        except BrokenPipeError:
            pass  # damage has been found

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        with ImageReader.from_descriptor(reader) as image:
            os.close(reader)
            reader = -1
            image.finish()
    finally:
        if reader >= 0:
            os.close(reader)
        thread.join()


@pytest.mark.parametrize("codec", [1, 2])
def test_bytes_that_are_no_frame_are_none(codec: int) -> None:
    assert decompress(codec, b"no such thing at all", 4096) is None


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_process_comes_back_from_a_compressed_image(codec: str, tmp_path: Path) -> None:
    plain, packed, after = (str(tmp_path / name) for name in ("plain.crt", "packed.crt", "after.crt"))
    with victim() as pid:
        checkpoint(pid, plain)
        result = checkpoint(pid, packed, compress=codec, leave="killed")
        os.waitpid(pid, 0)
        verify(packed)
        assert [] == changed(plain, packed)
        back = restart(packed, detach=True).pid
        checkpoint(back, after)

    assert [] == changed(packed, after)
    assert result.size < os.stat(plain).st_size
