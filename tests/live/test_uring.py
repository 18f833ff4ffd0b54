"""Rings of io_uring beyond what their specimens show: other ways of restarting, and who stands in the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from crtool.engine.tracker import has_hidden_writes
from crtool.procfs.maps import parse
from crtool.procfs.read import read

from .harness.catalogue import Specimen, catalogue
from .harness.command import crtool
from .harness.processes import holding
from .harness.run import Run

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.machine("io_uring with its structures in BTF"),
]


def specimen(name: str) -> Specimen:
    return next(each for each in catalogue() if each.name == name)


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """A specimen that waits."""
    found = Run(specimen(request.param), tmp_path)
    try:
        found.await_ready()
        yield found
    finally:
        found.end()


@pytest.mark.parametrize(
    "run", ["uring_forked", "uring_unread", "uring_issuer_registered", "uring_buffers"], indirect=True
)
def test_memory_that_comes_later(run: Run) -> None:
    run.restart(run.checkpoint("--kill"), "--lazy")
    run.pass_judgement()


@pytest.mark.parametrize("run", ["uring_forked", "uring_issuer_registered"], indirect=True)
def test_numbers_of_their_own(run: Run) -> None:
    """The issuer is known by another TID then."""
    run.restart(run.checkpoint("--kill"), "--pidns")
    run.pass_judgement()


@pytest.mark.parametrize("run", ["uring_unread"], indirect=True)
def test_a_ring_is_shown(run: Run) -> None:
    image = str(run.checkpoint())
    for verb in ("show", "verify"):
        run.crtool(verb, image)
    done = crtool("show", "--json", image)
    assert done.returncode == 0
    assert '"uring"' in done.stdout
    run.crtool("core", image, "-o", str(run.folder / "core"))
    run.pass_judgement()


@pytest.mark.parametrize(("run", "hidden"), [("uring_buffers", True), ("uring_registered", False)], indirect=["run"])
def test_writes_to_registered_buffers_are_not_seen_by_a_watch(run: Run, hidden: bool) -> None:
    maps = parse(read(run.root, "maps"))

    assert hidden is has_hidden_writes(run.root, maps)
    run.pass_judgement()


def test_a_ring_that_is_open_outside_is_refused(tmp_path: Path) -> None:
    from crtool.kernel import uring

    try:
        ring, _ = uring.setup(8, 16, 0)
    except OSError as error:
        pytest.skip(f"no io_uring: {error}")
    with holding(ring) as pid:
        done = crtool("checkpoint", str(pid), "-o", str(tmp_path / "image"), "--stdio", "inherit")
        assert done.returncode == 122
        assert f"fd {ring}: an io_uring that PID {os.getpid()} (" in done.stderr
        assert "which is not in the tree, has open too" in done.stderr
        os.close(ring)
        done = crtool("check", str(pid))
        assert "has open too" not in done.stdout + done.stderr
