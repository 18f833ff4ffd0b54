"""A child of crtool's own that ends while crtool traces it, as the command of ``crtool run`` may."""

from __future__ import annotations

import os

import pytest

from crtool.errors import TargetDied
from crtool.kernel import ptrace, wait
from crtool.puppet.burial import await_end


@pytest.mark.parametrize("way", [wait.wait_for_stop, lambda pid: await_end([pid])])
def test_its_status_is_not_lost(way) -> None:
    gate, opener = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(opener)
        os.read(gate, 1)
        os._exit(7)
    os.close(gate)
    wait.keep_status(pid)
    assert wait.kept_status(pid) is None
    ptrace.seize(pid, 0)
    os.close(opener)
    try:
        way(pid)
    except TargetDied:
        pass
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    assert 7 == os.waitstatus_to_exitcode(wait.kept_status(pid) or 0)
