"""Modes, filters and no_new_privs, before and after, asked of the kernel and tried out: twin of seccomp."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from crtool.abi import capability as cap
from crtool.abi import ptrace as ptrace_abi
from crtool.abi import seccomp as abi
from crtool.errors import EnvironmentDiffers
from crtool.kernel import ptrace
from crtool.procfs.maps import parse as parse_maps
from crtool.procfs.read import read
from crtool.puppet.batch import Batch
from crtool.resources import seccomp
from crtool.resources.seccomp import FilterRecord, SeccompRecord

from .puppets import hold, newborn, program, run, status_of, tasks

SYS_ADMIN = cap.bit(cap.CAP_SYS_ADMIN)
SUSPENDED = ptrace_abi.O_TRACESYSGOOD | ptrace_abi.O_EXITKILL | ptrace_abi.O_SUSPEND_SECCOMP

TOOLS = """
#include <linux/filter.h>
#include <linux/seccomp.h>
static void filter(int call, unsigned action, unsigned flags) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog fprog = {4, code};
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog));
}
static void forbid(void) { MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }
"""


def alone(body: str) -> str:
    return f"{TOOLS} int main(void) {{ {body} ready(); for (;;) pause(); }}"


def record_of(tid):
    return seccomp.dump(tid, status_of(tid))


def restored(puppet, record):
    born = record_of(puppet.pid)
    if seccomp.needs_suspension(record):
        ptrace.set_options(puppet.tid, SUSPENDED)
    run(puppet, lambda batch: seccomp.restore(batch, record, born, SYS_ADMIN))


CASES = {
    "no_new_privs": ("forbid();", 0),
    "filter": ("forbid(); filter(SYS_getppid, SECCOMP_RET_ERRNO | 77, 0);", 1),
    "filter without no_new_privs": ("filter(SYS_getppid, SECCOMP_RET_KILL_PROCESS, 0);", 1),
    "three filters, one that logs": (
        "filter(SYS_getppid, SECCOMP_RET_ERRNO | 77, SECCOMP_FILTER_FLAG_LOG);"
        "filter(SYS_getppid, SECCOMP_RET_ERRNO | 78, 0); filter(SYS_getpgrp, SECCOMP_RET_KILL_THREAD, 0);",
        3,
    ),
    # These are what holding it takes: crtool must not fall into its filters.
    "filters against crtool": (
        "".join(
            f"filter(SYS_{name}, SECCOMP_RET_KILL_PROCESS, 0);"
            for name in ("mmap", "munmap", "prctl", "tgkill", "getpid", "gettid", "rt_sigreturn", "kill")
        ),
        8,
    ),
}


@pytest.mark.parametrize(("body", "count"), CASES.values(), ids=CASES)
def test_filters_come_back(body, count):
    with program(alone(body)) as target:
        with hold(target.pid):
            record = record_of(target.pid)

        assert count == len(record.filters)
        assert alive(target.pid)

        target.end()
        with newborn(target.pid) as puppet:
            restored(puppet, record)

            assert record == record_of(puppet.pid)
            assert count == status_of(puppet.pid).seccomp_filters


def alive(pid):
    return status_of(pid).state in "SR"


def test_the_oldest_filter_is_the_first():
    with program(alone(CASES["three filters, one that logs"][0])) as target, hold(target.pid):
        record = record_of(target.pid)
    actions = [abi.SOCK_FILTER.unpack_from(one.program, 2 * abi.SOCK_FILTER.size)[3] for one in record.filters]

    assert [0x0005_0000 | 77, 0x0005_0000 | 78, 0] == actions
    assert [True, False, False] == [one.log for one in record.filters]


def test_filters_judge_once_they_are_not_suspended():
    with program(alone(CASES["three filters, one that logs"][0])) as target:
        with hold(target.pid):
            record = record_of(target.pid)
        target.end()
    with newborn(target.pid) as puppet:
        restored(puppet, record)

        assert os.getpid() == puppet.call("getppid").value

        ptrace.set_options(puppet.tid, SUSPENDED & ~ptrace_abi.O_SUSPEND_SECCOMP)

        # Of filters that forbid a call by errno, the last one that was installed is heard.
        assert 78 == puppet.call("getppid", must=False).errno
        assert puppet.call("getpid").value == puppet.pid


def test_strict_mode_comes_back():
    with program(alone("ready(); MUST(prctl(PR_SET_SECCOMP, 1)); char c; for (;;) read(9, &c, 1);")) as target:
        while status_of(target.pid).seccomp == 0:
            pass
        with hold(target.pid):
            record = record_of(target.pid)

        assert record.strict
        assert alive(target.pid)

        target.end()
        with newborn(target.pid) as puppet:
            restored(puppet, record)

            assert record == record_of(puppet.pid)
            assert abi.SECCOMP_MODE_STRICT == status_of(puppet.pid).seccomp


def test_a_filtered_thread_is_asked_and_let_go_unharmed():
    """Every batch of it is made under suspension; afterwards its own filter judges it again."""
    source = f"""{TOOLS}
    static volatile int other;
    static void *second(void *ignored) {{
        filter(SYS_prctl, SECCOMP_RET_KILL_PROCESS, 0);
        filter(SYS_getppid, SECCOMP_RET_ERRNO | 77, 0);
        other = 1;
        while (other == 1) usleep(1000);
        printf("%d\\n", syscall(SYS_getppid) == -1 && errno == 77);
        fflush(stdout);
        for (;;) pause();
    }}
    static void go_on(int signal) {{ other = 2; }}
    int main(void) {{
        pthread_t thread;
        signal(SIGUSR1, go_on);
        pthread_create(&thread, NULL, second, NULL);
        while (!other) usleep(1000);
        ready();
        for (;;) pause();
    }}"""
    with program(source) as target:
        first, second = tasks(target.pid)
        before = parse_maps(read(target.pid, "maps"))
        for _ in range(3):
            with hold(target.pid) as process:
                assert process.threads[second].seccomp
                assert not process.threads[first].seccomp
                assert 0 == len(record_of(first).filters)
                assert 2 == len(record_of(second).filters)
                for tid in (second, first, second):
                    assert 1 == process.on(tid).call("prctl", 3, 0, 0, 0, 0).value
                    assert os.getpid() == process.on(tid).call("getppid").value
        assert before == parse_maps(read(target.pid, "maps"))
        os.kill(target.pid, signal.SIGUSR1)

        assert "1" == target.line()
        assert alive(target.pid)


def test_a_supervisor_is_an_obstacle():
    body = "filter(SYS_getppid, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);"
    with program(alone(body)) as target, hold(target.pid):
        record = record_of(target.pid)

    obstacle = seccomp.obstacle(1, 2, record)

    assert obstacle is not None
    assert "supervisor" in obstacle.cause


FREE = SeccompRecord(no_new_privs=False, strict=False, filters=(), container=0)
FILTERED = SeccompRecord(
    no_new_privs=False,
    strict=False,
    filters=(FilterRecord(abi.SOCK_FILTER.pack(6, 0, 0, 0x7FFF0000), False),),
    container=0,
)
CONTAINED = SeccompRecord(no_new_privs=True, strict=False, filters=(), container=1)


def test_what_is_as_it_was_costs_no_calls():
    batch = Batch()
    seccomp.restore(batch, FREE, FREE, 0)
    seccomp.restore(batch, CONTAINED, CONTAINED, 0)

    assert 0 == len(batch)
    assert () == seccomp.surplus(CONTAINED, CONTAINED)


@pytest.mark.parametrize(
    ("record", "born", "capabilities", "said"),
    [
        (FILTERED, FREE, 0, "CAP_SYS_ADMIN, to install"),
        (FILTERED, CONTAINED, SYS_ADMIN, "a place without seccomp filters"),
        (SeccompRecord(False, True, (), 0), CONTAINED, SYS_ADMIN, "a place without seccomp filters"),
        (CONTAINED, FREE, SYS_ADMIN, "1 seccomp filters of the container"),
    ],
)
def test_what_crtool_lacks_is_named(record, born, capabilities, said):
    batch = Batch()
    with pytest.raises(EnvironmentDiffers, match=said):
        seccomp.restore(batch, record, born, capabilities)

    assert 0 == len(batch)


def test_what_a_container_adds_is_a_warning():
    warnings = seccomp.surplus(FREE, CONTAINED)

    assert 2 == len(warnings)
    assert "no_new_privs" in warnings[0]


def test_a_filter_that_the_kernel_does_not_know_is_refused_by_it():
    with newborn() as puppet:
        batch = Batch()
        call = batch.call("seccomp", abi.SECCOMP_SET_MODE_FILTER, 1 << 31, 0, must=False)
        puppet.run(batch)

        assert errno.EINVAL == call.errno
