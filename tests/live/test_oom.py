"""The wish to be spared, or not, when memory runs out: twin of oom."""

from __future__ import annotations

import os

import pytest

from crtool.errors import EnvironmentDiffers
from crtool.resources import oom
from crtool.resources.oom import OomRecord

from .puppets import newborn, program

SOURCE = """
int main(void) {
    FILE *file = fopen("/proc/self/oom_score_adj", "w");
    fputs("321", file);
    fclose(file);
    ready();
    for (;;) pause();
}
"""


def test_the_score_comes_back():
    with program(SOURCE) as target:
        record = oom.dump(target.pid)
        target.end()

        assert OomRecord(321) == record

        with newborn(target.pid) as puppet:
            born = oom.dump(puppet.pid)
            oom.restore_from_outside(puppet.pid, record, born)

            assert record == oom.dump(puppet.pid)

            oom.restore_from_outside(puppet.pid, born, record)

            assert born == oom.dump(puppet.pid)


def test_a_score_that_is_too_low_for_crtool_names_the_capability():
    with newborn() as puppet:
        born = oom.dump(puppet.pid)
        lowest = OomRecord(-1000)
        if os.access("/proc/self/oom_score_adj", os.W_OK) and _may_lower(puppet.pid):
            oom.restore_from_outside(puppet.pid, lowest, born)

            assert lowest == oom.dump(puppet.pid)
            return
        with pytest.raises(EnvironmentDiffers, match=f"PID {puppet.pid} had oom_score_adj -1000.*CAP_SYS_RESOURCE"):
            oom.restore_from_outside(puppet.pid, lowest, born)

        assert born == oom.dump(puppet.pid)


def _may_lower(pid):
    from crtool.abi import capability as cap

    from .puppets import status_of

    return bool(status_of(os.getpid()).capabilities.effective & cap.bit(cap.CAP_SYS_RESOURCE))
