"""Sixteen limits, soft and hard: twin of limits."""

from __future__ import annotations

import dataclasses
import os
import resource

import pytest

from crtool.abi import capability as cap
from crtool.errors import EnvironmentDiffers
from crtool.procfs.limits import RLIM_INFINITY
from crtool.puppet.batch import Batch
from crtool.resources import limits
from crtool.resources.limits import LimitRecord, LimitsRecord

from .puppets import newborn, program, run

SYS_RESOURCE = cap.bit(cap.CAP_SYS_RESOURCE)

SOURCE = """
int main(void) {
    for (int i = 0; i < 16; i++) {
        struct rlimit limit;
        MUST(getrlimit(i, &limit));
        if (limit.rlim_max > 1000003) limit.rlim_max = i == RLIMIT_AS ? 1ULL << 40 : 1000003 + 4096 * i;
        limit.rlim_cur = limit.rlim_max / 2 + i;
        if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
        if (i == RLIMIT_DATA || i == RLIMIT_STACK) limit.rlim_cur = limit.rlim_max;
        MUST(setrlimit(i, &limit));
    }
    ready();
    for (;;) pause();
}
"""


def test_limits_come_back():
    with program(SOURCE) as target:
        record = limits.dump(target.pid)

        # The standard library asks prlimit(2), which root needs no CAP_SYS_RESOURCE for among its own.
        pairs = [resource.prlimit(target.pid, number) for number in range(16)]
        assert pairs == [(signed(limit.soft), signed(limit.hard)) for limit in record.limits]

        target.end()
        with newborn(target.pid) as puppet:
            born = limits.dump(puppet.pid)

            assert 10 < sum(one != other for one, other in zip(record.limits, born.limits, strict=True))

            run(puppet, lambda batch: limits.restore(batch, record, born, 0))

            assert record == limits.dump(puppet.pid)


def signed(value):
    return -1 if value == RLIM_INFINITY else value


def test_limits_that_are_right_cost_no_calls():
    batch = Batch()
    own = limits.dump(os.getpid())
    limits.restore(batch, own, own, 0)

    assert 0 == len(batch)


def only(number, name, soft, hard):
    return LimitsRecord((LimitRecord(number, name, soft, hard),))


def test_a_hard_limit_that_cannot_be_raised_is_named_with_both_values():
    record, born = only(7, "RLIMIT_NOFILE", 10, RLIM_INFINITY), only(7, "RLIMIT_NOFILE", 10, 4096)

    assert ["CAP_SYS_RESOURCE, to raise RLIMIT_NOFILE from 4096 to unlimited"] == limits.missing(record, born, 0)
    assert [] == limits.missing(record, born, SYS_RESOURCE)
    assert [] == limits.missing(born, record, 0)

    batch = Batch()
    with pytest.raises(EnvironmentDiffers, match="RLIMIT_NOFILE from 4096 to unlimited"):
        limits.restore(batch, record, born, 0)

    assert 0 == len(batch)


def test_a_soft_limit_alone_needs_nothing():
    record = only(3, "RLIMIT_STACK", RLIM_INFINITY, RLIM_INFINITY)
    born = dataclasses.replace(record, limits=(dataclasses.replace(record.limits[0], soft=8 << 20),))
    batch = Batch()
    limits.restore(batch, record, born, 0)

    assert ["RLIMIT_STACK"] == [call.label for call in batch]
