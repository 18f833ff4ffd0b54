"""crtool started by somebody who ends in the same moment, as a script does that puts it into the background."""

from __future__ import annotations

import os

from crtool.engine import preflight
from crtool.errors import TargetDied
from crtool.procfs.read import read


def test_a_parent_that_ends_meanwhile(monkeypatch) -> None:
    missing = [os.getppid()]

    def once(pid: int, name: str) -> bytes:
        if pid in missing:
            missing.remove(pid)
            raise TargetDied(pid)
        return read(pid, name)

    monkeypatch.setattr(preflight, "read", once)
    assert [os.getpid(), os.getppid()] == preflight._ancestors()[:2]
    assert [] == missing
