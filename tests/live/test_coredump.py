"""Whether a crash leaves a core file, and what is in it: twin of coredump."""

from __future__ import annotations

import dataclasses
import os

import pytest

from crtool.resources import coredump
from crtool.resources.coredump import CoredumpRecord

from .puppets import answer, hold, newborn, program, run

SOURCE = """
int main(void) {
    FILE *file = fopen("/proc/self/coredump_filter", "w");
    fputs("0x1ff", file);
    fclose(file);
    %s
    ready();
    for (;;) pause();
}
"""


def record_of(puppet):
    return answer(puppet, lambda batch: coredump.dump(puppet.pid, batch))


@pytest.mark.parametrize(
    ("body", "dumpable"),
    [
        ("", 1),
        ("MUST(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));", 0),
        # The change of user takes the flag, the program takes it back.
        ("MUST(setresuid(7, 7, 7)); MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));", 1),
    ],
)
def test_dumpable_and_filter_come_back(body, dumpable):
    with program(SOURCE % body) as target:
        with hold(target.pid) as process:
            record = record_of(process)

        assert CoredumpRecord(dumpable, 0x1FF) == record
        assert () == coredump.lost(record)

        target.end()
        with newborn(target.pid) as puppet:
            coredump.restore_from_outside(puppet.pid, record, record_of(puppet))
            if "setresuid" in body:
                puppet.call("setresuid", 7, 7, 7)
            run(puppet, lambda batch: coredump.restore(batch, record))

            assert record == record_of(puppet)
            # To whom the files of /proc belong says it, too.
            assert (7 if "setresuid" in body else 0) == os.stat(f"/proc/{puppet.pid}/stat").st_uid


def test_a_core_file_for_root_only_becomes_none_at_all():
    record = CoredumpRecord(2, None)
    (warning,) = coredump.lost(record)

    assert "readable by root only" in warning

    with newborn() as puppet:
        born = record_of(puppet)
        coredump.restore_from_outside(puppet.pid, record, born)
        run(puppet, lambda batch: coredump.restore(batch, record))

        assert dataclasses.replace(born, dumpable=0) == record_of(puppet)
