"""What can be asked of compression, with and without its packages."""

from __future__ import annotations

import sys

import pytest

from crtool.errors import EnvironmentDiffers, UsageError
from crtool.image.compression import Codec, Compressor, choose, decompress


def test_none_is_no_compressor() -> None:
    assert choose("none") is None


@pytest.mark.parametrize("word", ["", "gzip", "zstd:", "zstd:0", "zstd:23", "zstd:-1", "zstd:x", "lz4:3", "None"])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="no such compression"):
        choose(word)


@pytest.mark.parametrize("word", ["lz4", "zstd", "zstd:3", "auto"])
def test_a_package_that_is_missing_is_named(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lz4", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)

    with pytest.raises(EnvironmentDiffers, match="is not here") as caught:
        choose(word)

    assert 'install it: pip install "crtool[compress]"' == caught.value.remedy


@pytest.mark.parametrize("codec", [Codec.LZ4, Codec.ZSTD])
def test_a_package_that_is_missing_at_the_restart_is_named(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lz4", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)

    with pytest.raises(EnvironmentDiffers, match="the image is compressed, and the package"):
        decompress(codec, b"1234", 8)


def half(view: memoryview) -> bytes:
    """Stands for a codec: as if all zeros went away."""
    return bytes(byte for byte in view if byte)


def test_what_does_not_get_smaller_is_stored_as_it_is() -> None:
    compressor = Compressor(Codec.LZ4, half)
    dense = memoryview(b"x" * 100_000)
    in_the_middle = memoryview(b"x" * 40_000 + bytes(30_000) + b"x" * 40_000)
    at_the_ends = memoryview(bytes(30_000) + b"x" * 40_000 + bytes(30_000))

    assert (Codec.RAW, dense) == compressor.pack(dense)
    assert (Codec.LZ4, b"x" * 80_000) == compressor.pack(in_the_middle)
    assert (Codec.RAW, at_the_ends) == compressor.pack(at_the_ends)  # its sample speaks against it


def test_raw_bytes_of_another_length_are_none() -> None:
    assert b"abc" == decompress(Codec.RAW, b"abc", 3)
    assert decompress(Codec.RAW, b"abc", 4) is None
