"""What verify says of images of a living process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import crtool
from crtool.engine.results import Progress
from crtool.errors import ImageError, NotFound


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verify") / "image.crt"
    null = subprocess.DEVNULL
    with subprocess.Popen(["sleep", "1000"], stdin=null, stdout=null, stderr=null, start_new_session=True) as process:
        try:
            crtool.checkpoint(process.pid, path)
        finally:
            process.kill()
    return path


def test_a_good_image(image: Path) -> None:
    result = crtool.verify(image)

    assert image.stat().st_size == result.size
    assert ("header", "records", "data", "trailer") == result.sections


def test_progress_reaches_the_end(image: Path) -> None:
    seen: list[Progress] = []

    crtool.verify(image, seen.append)

    assert seen
    assert seen[-1].done == seen[-1].total == crtool.show(image).data_bytes


def test_from_a_pipe(image: Path) -> None:
    with subprocess.Popen(["cat", str(image)], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        assert image.stat().st_size == crtool.verify(cat.stdout.fileno()).size


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("piped", [False, True])
def test_a_flipped_bit(image: Path, place: float, piped: bool, tmp_path: Path) -> None:
    content = bytearray(image.read_bytes())
    content[int(place * (len(content) - 1))] ^= 4
    damaged = tmp_path / "damaged.crt"
    damaged.write_bytes(content)

    with pytest.raises(ImageError) as raised:
        if piped:
            with subprocess.Popen(["cat", str(damaged)], stdout=subprocess.PIPE) as cat:
                assert cat.stdout is not None
                crtool.verify(cat.stdout.fileno())
        else:
            crtool.verify(damaged)
    assert raised.value.remedy


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        crtool.verify(tmp_path / "none")
