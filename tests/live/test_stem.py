"""The keeper of a PID namespace is ended, whoever else is in there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from crtool.puppet.batch import Batch
from crtool.puppet.birth import Space, end_child
from crtool.puppet.stem import Stem, Surroundings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to choose PIDs")


@pytest.mark.timeout(60)
def test_a_child_that_crtool_has_not_heard_of() -> None:
    """As one born in the moment in which its parent is killed. It is traced, so nobody else can wait for it."""
    stem = Stem(Space(0x3000_0000_0000), Surroundings(pids=True, keeper=True, ipc=False, user=False, clocks=None))
    try:
        root = stem.bear((2,))
        batch = Batch()
        root.clone(batch, 0, signal.SIGCHLD, ())
        root.run(batch)
        (forgotten,) = root.born
        root.born.clear()
        end_child(root.pid)
        root.close()
    finally:
        stem.end()

    assert not Path(f"/proc/{forgotten}").exists()
