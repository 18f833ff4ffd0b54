"""The one door to compression: lz4 and zstd, from packages that need not be there.

Frames of an image (:mod:`.frames`) are compressed one by one, each by itself, where a sample of it promises to get
smaller. The import is done when a choice is made: before a target is frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum

from crtool.errors import EnvironmentDiffers, UsageError
from crtool.record import dataclass

__all__ = ["Codec", "Compressor", "choose", "decompress", "require"]

# A sample that is not at least this much smaller speaks for a frame that is not worth the time.
_WORTH_IT = 0.9
_SAMPLE = 32 << 10  # bytes from the middle of a frame
_ZSTD_LEVEL = 1
_HIGHEST = 22
_REMEDY = 'install it: pip install "crtool[compress]"'


class Codec(IntEnum):
    """How a frame is stored."""

    RAW = 0
    LZ4 = 1  # the block format of lz4, without its length
    ZSTD = 2  # a frame of zstd (RFC 8878)


@dataclass(frozen=True)
class Compressor:
    """A choice of the user's."""

    codec: Codec
    compress: Callable[[memoryview], bytes]

    def pack(self, view: memoryview) -> tuple[Codec, bytes | memoryview]:
        """What is to be stored for the bytes of *view*: compressed, or as they are if that does not pay."""
        start = max(0, len(view) - _SAMPLE) // 2
        sample = view[start : start + _SAMPLE]
        if len(self.compress(sample)) <= _WORTH_IT * len(sample):
            packed = self.compress(view)
            if len(packed) < len(view):
                return self.codec, packed
        return Codec.RAW, view


def choose(text: str) -> Compressor | None:
    """The compressor that a user has asked for: "none", "lz4", "zstd", "zstd:N" or "auto"; None for none.

    "auto" is zstd:1, or lz4 where only that is there. UsageError for any other word, EnvironmentDiffers if its package
    is not installed.
    """
    name, colon, number = text.partition(":")
    if text == "none":
        return None
    if text == "lz4":
        return _lz4()
    if name == "zstd" and not colon:
        return _zstd(_ZSTD_LEVEL)
    if name == "zstd" and number.isdecimal() and 1 <= int(number) <= _HIGHEST:
        return _zstd(int(number))
    if text == "auto":
        try:
            return _zstd(_ZSTD_LEVEL)
        except EnvironmentDiffers:
            return _lz4()
    raise UsageError(f"{text}: no such compression", f"choose auto, none, lz4, zstd, or zstd:1 to zstd:{_HIGHEST}")


def _lz4() -> Compressor:
    try:
        from lz4 import block  # noqa: PLC0415
    except ImportError:
        raise EnvironmentDiffers("images are compressed by lz4, and the package lz4 is not here", _REMEDY) from None

    def compress(view: memoryview) -> bytes:
        packed: bytes = block.compress(view, store_size=False)
        return packed

    return Compressor(Codec.LZ4, compress)


def _zstd(level: int) -> Compressor:
    try:
        import zstandard  # noqa: PLC0415
    except ImportError:
        raise EnvironmentDiffers(
            "images are compressed by zstd, and the package zstandard is not here", _REMEDY
        ) from None
    context = zstandard.ZstdCompressor(level=level)

    def compress(view: memoryview) -> bytes:
        packed: bytes = context.compress(view)
        return packed

    return Compressor(Codec.ZSTD, compress)


def require(codecs: Iterable[int]) -> None:
    """EnvironmentDiffers if a package that *codecs* need is not installed."""
    for codec in set(codecs) - {Codec.RAW}:
        decompress(codec, b"", 0)


def decompress(codec: int, stored: bytes, nbytes: int) -> bytes | None:
    """The *nbytes* that *stored* stands for; None if it does not stand for so many.

    EnvironmentDiffers if the package is not installed.
    """
    if codec == Codec.RAW:
        return stored if len(stored) == nbytes else None
    try:
        if codec == Codec.LZ4:
            from lz4 import block  # noqa: PLC0415

            try:
                plain: bytes = block.decompress(stored, uncompressed_size=nbytes)
            except block.LZ4BlockError:
                return None
        else:
            import zstandard  # noqa: PLC0415

            try:
                # What a frame says of its size is taken for the room it needs, whatever the limit.
                if zstandard.frame_content_size(stored) not in (-1, nbytes):
                    return None
                plain = zstandard.ZstdDecompressor().decompress(stored, max_output_size=nbytes)
            except zstandard.ZstdError:
                return None
    except ImportError as error:
        cause = f"the image is compressed, and the package {error.name} is not here"
        raise EnvironmentDiffers(cause, _REMEDY) from None
    return plain if len(plain) == nbytes else None
