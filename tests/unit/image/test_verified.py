"""Bytes that are verified as they are read, whatever becomes of the file."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from crtool.errors import ImageError
from crtool.image.age import public_of
from crtool.image.compression import choose
from crtool.image.keys import Keys, Lock
from crtool.image.reader import ImageReader
from crtool.image.verified import VerifiedReader
from crtool.image.writer import ImageWriter

from .test_age import SECRET

PAGE, LENGTH = 4096, 9 << 20
DATA = random.Random(3).randbytes(LENGTH // 2) + bytes(LENGTH // 2)


@pytest.fixture(params=["none", "lz4"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "image"
    with ImageWriter.create(path, compressor=choose(request.param)) as writer:
        writer.begin(cpu="x86_64", page_size=PAGE, records=b"records", data_length=LENGTH)
        writer.append(DATA)
        writer.finish()
    return path


def read(verified: VerifiedReader, offset: int, length: int) -> bytes:
    found = b""
    while len(found) < length:
        found += verified.read(offset + len(found), length - len(found))
    return found


def test_what_was_written_is_read(image: Path) -> None:
    with ImageReader.open(image) as reader:
        verified = VerifiedReader(reader)
        for offset, length in ((0, LENGTH), (LENGTH - PAGE, PAGE), (PAGE, 5 << 20), (0, PAGE), (4 << 20, PAGE)):
            assert DATA[offset : offset + length] == read(verified, offset, length)


def test_a_file_that_is_gone_is_still_read(image: Path) -> None:
    with ImageReader.open(image) as reader:
        image.unlink()

        assert DATA == read(VerifiedReader(reader), 0, LENGTH)


@pytest.mark.parametrize("cut", [False, True])
def test_nothing_is_given_out_that_has_changed_meanwhile(image: Path, cut: bool) -> None:
    with ImageReader.open(image) as reader:
        verified = VerifiedReader(reader)
        before = verified.read(0, PAGE)
        at = reader.data_offset + (3 << 20)
        if cut:
            os.truncate(image, at)
        else:
            with open(image, "r+b") as file:
                file.seek(at)
                byte = file.read(1)
                file.seek(at)
                file.write(bytes([byte[0] ^ 1]))
        with pytest.raises(ImageError, match="the image is damaged: data, bytes"):
            read(VerifiedReader(reader), 0, LENGTH)

    assert DATA[:PAGE] == before


@pytest.mark.parametrize("compress", ["none", "lz4"])
def test_an_encrypted_image_that_is_changed_meanwhile(compress: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    with ImageWriter.create(path, compressor=choose(compress), lock=Lock((public_of(SECRET),))) as writer:
        writer.begin(cpu="x86_64", page_size=PAGE, records=b"records", data_length=LENGTH)
        writer.append(DATA)
        writer.finish()
    with ImageReader.open(path, keys=Keys((SECRET,))) as reader:
        verified = VerifiedReader(reader)
        assert DATA == read(verified, 0, LENGTH)
        with open(path, "r+b") as file:
            file.seek(3 << 20)
            byte = file.read(1)
            file.seek(3 << 20)
            file.write(bytes([byte[0] ^ 1]))
        with pytest.raises(ImageError, match="it was changed"):
            read(VerifiedReader(reader), 0, LENGTH)
