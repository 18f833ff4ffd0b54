"""Small images for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from crtool.image.header import CHUNK
from crtool.image.writer import ImageWriter


@pytest.fixture(scope="session")
def make_image() -> Callable[..., Path]:
    """Writes an image with any records and data; returns its path."""

    def make(path: Path, records: bytes, data: bytes, *, page_size: int = 4096, chunk_size: int = CHUNK) -> Path:
        with ImageWriter.create(path) as image:
            image.begin(
                cpu="x86_64", page_size=page_size, records=records, data_length=len(data), chunk_size=chunk_size
            )
            image.append(data)
            image.finish()
        return path

    return make


@pytest.fixture(scope="session")
def piped() -> Callable[[bytes], int]:
    """Gives the read end of a pipe that holds some bytes, which must fit, and then ends."""

    def pipe(data: bytes) -> int:
        read_end, write_end = os.pipe()
        try:
            os.set_blocking(write_end, False)
            if data:
                assert os.write(write_end, data) == len(data)
        finally:
            os.close(write_end)
        return read_end

    return pipe
