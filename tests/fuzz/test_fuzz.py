"""Fuzzing of what reads images: what was found once, and twenty seconds of new inputs."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from crtool.engine.snapshot import Snapshot
from crtool.image import codec
from crtool.image.age import public_of
from crtool.image.keys import Keys

from . import examine
from .assemble import assemble, mapped
from .coverage import one
from .found import FOUND, changed
from .fuzz import IDENTITY, KINDS
from .maps import bad_map, bad_mapped, right_map
from .mutate import bad_container, bad_records, bad_sealed
from .seeds import DATA, make_seed

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).with_name("corpus")
SECONDS = 900 if os.environ.get("CRTOOL_LONG") else 20


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """What an image of many things says."""
    return codec.unpack(make_seed(tmp_path_factory.mktemp("seed")), Snapshot)


@pytest.fixture
def limits() -> Iterator[None]:
    with examine.Limits() as limits, limits.input():
        yield


def test_the_seed_is_a_sane_image(seed: Snapshot, limits: None) -> None:
    assert "" == examine.snapshot(assemble(codec.pack(seed), DATA))


def test_it_is_sane_too_if_it_builds_on_another_one(seed: Snapshot, limits: None) -> None:
    for number in range(20):
        found, stored = right_map(len(DATA), random.Random(number))
        assert "" == examine.snapshot(mapped(codec.pack(seed), DATA[:stored], codec.pack(found)), (examine.STORIES[0],))


def test_most_bad_maps_are_refused_for_what_they_say(limits: None) -> None:
    """And not because their checksums do not match."""
    said = [examine.container(mapped(b"records", DATA, bad_map(len(DATA), random.Random(n)))) for n in range(300)]

    assert 30 < said.count("") < 200
    assert not [each for each in said if "checksum" in each]
    for word in ("the map of the image is wrong", "is gone", "has been replaced", "no file", "than that one stores"):
        assert [each for each in said if word in each], word


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_stays_mended(what: str, seed: Snapshot, limits: None) -> None:
    way, value = FOUND[what]
    examine.snapshot(assemble(codec.pack(changed(seed, way, value)), DATA))


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_corpus(path: Path, limits: None) -> None:
    one(path.read_bytes())


def test_new_inputs() -> None:
    """In a process of its own, whose memory is limited."""
    words = ["--seconds", str(SECONDS), "--seed", "1"]
    done = subprocess.run([sys.executable, "-m", "tests.fuzz.fuzz", *words], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 500


def test_memory_is_taken_for_what_is_there_and_not_for_what_is_claimed() -> None:
    """Twenty times an input and some buffers at most, whatever lengths it has in it."""
    dice = random.Random(1)
    tracemalloc.start()
    try:
        for number in range(800):
            kind = dice.choice(KINDS)
            match number % 4:
                case 0:
                    data = bad_container(dice)
                case 1:
                    data = bad_records(kind, dice)
                case 2:
                    data = bad_sealed(public_of(IDENTITY), dice)
                case _:
                    data = bad_mapped(dice)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            if number % 4 == 1:
                examine.records(data, kind)
            else:
                examine.container(data, Keys((IDENTITY,)))
            peak = tracemalloc.get_traced_memory()[1] - before
            assert peak < 20 * len(data) + (6 << 20), (number, peak, len(data))
    finally:
        tracemalloc.stop()
