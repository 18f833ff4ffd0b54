"""Where a process came from: twin of cgroups, which only records."""

from __future__ import annotations

import os

from crtool.resources import cgroups


def test_the_groups_of_this_process_are_recorded():
    with open(f"/proc/{os.getpid()}/cgroup", "rb") as file:
        fields = [line.split(b":", 2) for line in file.read().splitlines()]

    record = cgroups.dump(os.getpid())

    assert [path for _, _, path in fields] == [group.path for group in record.groups]
    assert [names.decode() for _, names, _ in fields] == [",".join(group.controllers) for group in record.groups]
