"""Segments begin at pages and do not overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.errors import ImageError
from crtool.image.codec import pack, unpack
from crtool.image.layout import DataLayout, Segment


def test_segments_follow_each_other_at_page_boundaries() -> None:
    layout = DataLayout(4096)

    assert layout.reserve(1) == Segment(0, 1)
    assert layout.reserve(8192) == Segment(4096, 8192)
    assert layout.reserve(0) == Segment(12288, 0)
    assert layout.reserve(4097) == Segment(12288, 4097)
    assert layout.length == 20480


@given(st.lists(st.integers(0, 1 << 40), max_size=20), st.sampled_from([4096, 16384, 65536]))
def test_no_two_segments_share_a_page(lengths: list[int], page_size: int) -> None:
    layout = DataLayout(page_size)

    segments = [layout.reserve(length) for length in lengths]

    for segment, following in zip(segments, segments[1:], strict=False):
        assert segment.end <= following.offset
    assert all(segment.offset % page_size == 0 for segment in segments)
    assert layout.length % page_size == 0
    assert all(segment.end <= layout.length for segment in segments)


def test_a_page_size_is_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="power of two"):
        DataLayout(5000)


def test_a_segment_is_a_record_and_cannot_be_negative() -> None:
    data = pack(Segment(4096, 5))

    assert unpack(data, Segment) == Segment(4096, 5)
    with pytest.raises(ImageError, match="before the data area"):
        unpack(data[:-1] + b"\xff", Segment)
