"""Policies, priorities, CPUs and I/O classes of threads: twin of scheduling."""

from __future__ import annotations

import dataclasses
import errno
import os

import pytest

from crtool.abi import sched
from crtool.errors import EnvironmentDiffers
from crtool.puppet.batch import Batch
from crtool.resources import scheduling

from .puppets import newborn, program, tasks, thread

TOOLS = """
struct attr {
    uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period;
};
static void set(struct attr attr) { attr.size = 48; MUST(syscall(SYS_sched_setattr, 0, &attr, 0)); }
static void niced(int value) { MUST(setpriority(PRIO_PROCESS, 0, value)); }
static void io(int class, int level) { MUST(syscall(SYS_ioprio_set, 1, 0, class << 13 | level)); }
static void on(int cpu) {
    cpu_set_t set; CPU_ZERO(&set); CPU_SET(cpu, &set); MUST(sched_setaffinity(0, sizeof set, &set));
}
"""


def alone(body: str) -> str:
    return f"{TOOLS} int main(void) {{ {body} ready(); for (;;) pause(); }}"


CASES = {
    "nice": "niced(7);",
    "nice below zero": "niced(-5);",
    "batch": "set((struct attr){.policy = 3, .nice = 3});",
    "idle": "set((struct attr){.policy = 5});",
    "round robin": "set((struct attr){.policy = 2, .priority = 9});",
    "first in, first out, with a nice value to return to": "niced(4); set((struct attr){.policy = 1, .priority = 99});",
    "deadline": "set((struct attr){.policy = 6, .runtime = 1000000, .deadline = 50000000, .period = 100000000});",
    "reset on fork": "set((struct attr){.policy = 2, .priority = 1, .flags = 1});",
    "reset on fork of an ordinary thread": "set((struct attr){.flags = 1, .nice = -1});",
    "time slice": "set((struct attr){.runtime = 7000000});",
    "affinity": "on(sched_getcpu());",
    "I/O real time": "io(1, 3);",
    "I/O best effort": "io(2, 7);",
    "I/O idle": "io(3, 0);",
    "all at once": "on(0); niced(-3); set((struct attr){.policy = 1, .priority = 2}); io(1, 0);",
}


NEEDS = {
    "deadline": "deadline scheduling",
    "first in, first out, with a nice value to return to": "real-time scheduling",
    "round robin": "real-time scheduling",
    "time slice": "time slices on demand (Linux 6.12)",
}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=name, marks=[pytest.mark.machine(NEEDS[name])] if name in NEEDS else [])
        for name, body in CASES.items()
    ],
)
def test_scheduling_comes_back(body):
    with program(alone(body)) as target:
        record = scheduling.dump(target.pid)
        target.end()
        with newborn(target.pid) as puppet:
            born = scheduling.dump(puppet.pid)

            assert record != born

            assert () == scheduling.restore_from_outside(puppet.pid, record, born)
            assert record == scheduling.dump(puppet.pid)


def test_threads_differ():
    source = f"""{TOOLS}
    static volatile int others;
    static void *second(void *ignored) {{ niced(9); io(2, 1); others++; for (;;) pause(); }}
    int main(void) {{
        pthread_t thread;
        pthread_create(&thread, NULL, second, NULL);
        while (others < 1) usleep(1000);
        ready();
        for (;;) pause();
    }}"""
    with program(source) as target:
        first, second = tasks(target.pid)
        records = {tid: scheduling.dump(tid) for tid in (first, second)}

        assert (0, 9) == (records[first].nice, records[second].nice)

        target.end()
        with newborn(target.pid) as main:
            born = scheduling.dump(first)
            thread(main, second)
            for tid, record in records.items():
                scheduling.restore_from_outside(tid, record, born)

            assert records == {tid: scheduling.dump(tid) for tid in records}


def test_a_real_time_thread_takes_its_nice_value_up_again():
    with newborn() as puppet:
        born = scheduling.dump(puppet.pid)
        record = dataclasses.replace(born, policy=sched.SCHED_FIFO, priority=5, nice=11, runtime=0)
        scheduling.restore_from_outside(puppet.pid, record, born)
        batch = Batch()
        batch.call("sched_setscheduler", 0, sched.SCHED_OTHER, bytes(4))
        puppet.run(batch)

        assert 11 == os.getpriority(os.PRIO_PROCESS, puppet.pid)


def test_cpus_that_do_not_exist_are_named_and_the_others_kept():
    with newborn() as puppet:
        born = scheduling.dump(puppet.pid)
        record = dataclasses.replace(born, cpus=(0, 4000, 4001), all_cpus=False)
        (warning,) = scheduling.restore_from_outside(puppet.pid, record, born)

        assert "4000, 4001" in warning
        assert {0} == os.sched_getaffinity(puppet.pid)

        (warning,) = scheduling.restore_from_outside(puppet.pid, dataclasses.replace(record, cpus=(4000,)), record)

        assert "all CPUs instead" in warning
        assert set(born.cpus) <= os.sched_getaffinity(puppet.pid)


def test_a_thread_that_was_free_is_free_though_crtool_is_bound():
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        with newborn() as puppet:
            born = scheduling.dump(puppet.pid)
            record = dataclasses.replace(born, cpus=(0, 1, 2, 3), all_cpus=True)

            assert () == scheduling.restore_from_outside(puppet.pid, record, born)
            assert everywhere <= os.sched_getaffinity(puppet.pid)
    finally:
        os.sched_setaffinity(0, everywhere)


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (errno.EPERM, "which the kernel does not allow here"),
        (errno.EBUSY, "not possible here: Device or resource busy"),
    ],
)
def test_what_the_kernel_refuses_is_named(monkeypatch, refusal, said):
    def refuse(tid, attr):
        raise OSError(refusal, os.strerror(refusal))

    born = scheduling.dump(os.getpid())
    record = dataclasses.replace(born, policy=sched.SCHED_RR, priority=7)
    monkeypatch.setattr(scheduling, "sched_setattr", refuse)
    with pytest.raises(EnvironmentDiffers, match=f"SCHED_RR priority 7.*{said}"):
        scheduling.restore_from_outside(os.getpid(), record, born)


def test_clamps_are_only_set_where_both_kernels_have_them(monkeypatch):
    set_to = []
    monkeypatch.setattr(scheduling, "sched_setattr", lambda tid, attr: set_to.append(sched.SCHED_ATTR.unpack(attr)))
    born = dataclasses.replace(scheduling.dump(os.getpid()), util_min=0, util_max=1024)
    clamped, unclamped = (dataclasses.replace(born, util_min=low, util_max=high) for low, high in ((1, 512), (0, 0)))

    scheduling.restore_from_outside(os.getpid(), unclamped, born)
    scheduling.restore_from_outside(os.getpid(), clamped, unclamped)
    scheduling.restore_from_outside(os.getpid(), clamped, born)

    assert [(0x60 | born.flags, (1, 512))] == [(attr[2], attr[-2:]) for attr in set_to]
