"""The resources of identity and restraint together, in the order that their docstrings ask for, on one hard case."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from crtool.abi import ptrace as ptrace_abi
from crtool.image import codec
from crtool.kernel import ptrace
from crtool.puppet.batch import Batch
from crtool.resources import coredump, credentials, limits, mempolicy, oom, personality, prctl, scheduling, seccomp
from crtool.resources.coredump import CoredumpRecord
from crtool.resources.credentials import CredentialsRecord
from crtool.resources.limits import LimitsRecord
from crtool.resources.mempolicy import MempolicyRecord
from crtool.resources.oom import OomRecord
from crtool.resources.personality import PersonalityRecord
from crtool.resources.prctl import AddressSpaceFlagsRecord, ThreadFlagsRecord
from crtool.resources.scheduling import SchedulingRecord
from crtool.resources.seccomp import SeccompRecord

from .puppets import answer, hold, newborn, program, run, status_of, tasks, thread

# A daemon at its most careful: privileges used, then dropped; filters without no_new_privs, which only root can
# install, against nearly everything that crtool calls; limits at the bone; all of it another way in a second thread.
SOURCE = """
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/personality.h>
static void forbid(int call) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog fprog = {4, code};
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog));
}
static void forbid_all(void) {
    int calls[] = {SYS_mmap, SYS_munmap, SYS_tgkill, SYS_kill, SYS_capset, SYS_setresuid, SYS_setgroups, SYS_prlimit64,
                   SYS_personality, SYS_sigaltstack, SYS_getpid, SYS_get_mempolicy, SYS_prctl};
    for (int i = 0; i < sizeof calls / sizeof *calls; i++) forbid(calls[i]);
}
static void put(const char *name, const char *value) { FILE *f = fopen(name, "w"); fputs(value, f); fclose(f); }
static volatile int other;
static void *second(void *ignored) {
    MUST(setpriority(PRIO_PROCESS, 0, 12));
    MUST(prctl(PR_SET_NAME, "worker", 0, 0, 0));
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    MUST(syscall(SYS_setresgid, 8, 8, 8));
    MUST(syscall(SYS_setresuid, 9, 9, 9));
    MUST(personality(ADDR_NO_RANDOMIZE));
    forbid(SYS_prctl);
    other = 1;
    for (;;) pause();
}
int main(void) {
    pthread_t thread;
    struct rlimit limit = {5, 9};
    gid_t groups[] = {3, 4};
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    unsigned kept = 1 << CAP_KILL | 1 << CAP_SYS_ADMIN;
    struct __user_cap_data_struct data[2] = {{kept, kept, 0}};
    put("/proc/self/oom_score_adj", "555");
    put("/proc/self/coredump_filter", "3");
    pthread_create(&thread, NULL, second, NULL);
    while (!other) usleep(1000);
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    MUST(setrlimit(RLIMIT_SIGPENDING, &limit));
    MUST(setrlimit(RLIMIT_NPROC, &limit));
    MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
    MUST(prctl(PR_SET_TIMERSLACK, 99, 0, 0, 0));
    MUST(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0));
    MUST(syscall(SYS_setgroups, 2, groups));
    MUST(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    MUST(syscall(SYS_setresuid, 21, 22, 23));
    MUST(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0));
    MUST(syscall(SYS_capset, &header, data));
    MUST(prctl(65, 1, 0, 0, 0)); /* PR_SET_MDWE */
    MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    ready();
    forbid_all();
    for (;;) pause();
}
"""
SUSPENDED = ptrace_abi.O_TRACESYSGOOD | ptrace_abi.O_EXITKILL | ptrace_abi.O_SUSPEND_SECCOMP


@dataclass(frozen=True)
class OfThread:
    credentials: CredentialsRecord
    seccomp: SeccompRecord
    flags: ThreadFlagsRecord
    memory: MempolicyRecord
    personality: PersonalityRecord
    scheduling: SchedulingRecord


@dataclass(frozen=True)
class OfProcess:
    limits: LimitsRecord
    oom: OomRecord
    coredump: CoredumpRecord
    flags: AddressSpaceFlagsRecord


def thread_state(puppet, tid):
    status, batch = status_of(tid), Batch()
    identity = credentials.dump(status, batch)
    flags = prctl.dump_thread(tid, status, batch)
    memory = mempolicy.dump(status, batch)
    puppet.run(batch)
    restraint, persona, schedule = seccomp.dump(tid, status), personality.dump(tid), scheduling.dump(tid)

    assert len(batch) <= 5

    return OfThread(identity(), restraint, flags(), memory(), persona, schedule)


def process_state(puppet, pid):
    core = answer(puppet, lambda batch: coredump.dump(pid, batch))
    return OfProcess(limits.dump(pid), oom.dump(pid), core, answer(puppet, prctl.dump_process))


def wait_for_filters(pid, count):
    while status_of(pid).seccomp_filters != count:
        time.sleep(0.001)


def test_everything_comes_back_in_the_order_that_is_asked_for():
    with program(SOURCE) as target:
        wait_for_filters(target.pid, 13)
        first, second = tasks(target.pid)
        with hold(target.pid) as process:
            states = {tid: thread_state(process.on(tid), tid) for tid in (first, second)}
            state = process_state(process.on(first), first)
        time.sleep(0.05)

        assert 13 == status_of(target.pid).seccomp_filters

        target.end()

    assert state == codec.unpack(codec.pack(state), OfProcess)
    assert states[first] == codec.unpack(codec.pack(states[first]), OfThread)

    with newborn(first) as main:
        born, blank = thread_state(main, first), process_state(main, first)
        privileges = born.credentials.effective
        puppets = {first: main, second: thread(main, second)}
        for tid, puppet in puppets.items():
            wanted = states[tid]
            ptrace.set_options(tid, SUSPENDED)
            run(puppet, lambda batch, wanted=wanted: personality.restore(batch, wanted.personality, born.personality))
            run(puppet, lambda batch, wanted=wanted: mempolicy.restore(batch, wanted.memory, born.memory))
            run(puppet, lambda batch, wanted=wanted: prctl.restore_thread(batch, wanted.flags, born.flags))
        oom.restore_from_outside(first, state.oom, blank.oom)
        coredump.restore_from_outside(first, state.coredump, blank.coredump)
        run(main, lambda batch: prctl.restore_process(batch, state.flags, blank.flags))
        run(main, lambda batch: limits.restore(batch, state.limits, blank.limits, privileges))
        for tid, puppet in puppets.items():
            wanted = states[tid]
            batch = Batch()
            seccomp.restore(batch, wanted.seccomp, born.seccomp, privileges)
            credentials.restore(batch, wanted.credentials, born.credentials)
            puppet.run(batch)
        run(main, lambda batch: coredump.restore(batch, state.coredump))
        for tid in puppets:
            scheduling.restore_from_outside(tid, states[tid].scheduling, born.scheduling)

        assert states == {tid: thread_state(puppet, tid) for tid, puppet in puppets.items()}
        assert state == process_state(main, first)


def test_a_crtool_that_is_killed_leaves_a_filtered_program_alive():
    """Its way home is not judged: it makes no call that the filters forbid."""
    holder = """
import sys, time
from tests.live.puppets import hold, tasks
with hold(int(sys.argv[1])) as process:
    for tid in tasks(process.pid):
        process.on(tid).call("prctl", 3, 0, 0, 0, 0)
        print("holding", flush=True)
        if sys.argv[2] == str(tid):
            time.sleep(60)
"""
    with program(SOURCE) as target:
        wait_for_filters(target.pid, 13)
        for tid in tasks(target.pid):
            for _ in range(3):
                command = [sys.executable, "-c", holder, str(target.pid), str(tid)]
                with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as crtool:
                    try:
                        for _ in range(1 + tasks(target.pid).index(tid)):
                            assert b"holding\n" == crtool.stdout.readline()
                    finally:
                        crtool.kill()
                time.sleep(0.05)

                assert status_of(target.pid).state == "S"
                assert 2 == len(tasks(target.pid))
