"""Who a thread is, in the kernel's own words, before and after: twin of credentials."""

from __future__ import annotations

import dataclasses

import pytest

from crtool.abi import capability as cap
from crtool.errors import EnvironmentDiffers
from crtool.puppet.batch import Batch
from crtool.resources import credentials

from .puppets import answer, hold, newborn, program, run, status_of, tasks, thread

# Raw calls all through: the C library would do the same to all threads.
TOOLS = """
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
static void caps(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {effective, permitted, inheritable}, {effective >> 32, permitted >> 32, inheritable >> 32}};
    MUST(syscall(SYS_capset, &header, data));
}
static void groups(int count, gid_t *list) { MUST(syscall(SYS_setgroups, count, list)); }
static void uids(int r, int e, int s) { MUST(syscall(SYS_setresuid, r, e, s)); }
static void gids(int r, int e, int s) { MUST(syscall(SYS_setresgid, r, e, s)); }
static void drop(int which) { MUST(prctl(PR_CAPBSET_DROP, which, 0, 0, 0)); }
static void raise_ambient(int which) { MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, which, 0, 0)); }
#define CAP(x) (1ULL << (x))
"""


def alone(body: str) -> str:
    return f"{TOOLS} int main(void) {{ {body} ready(); for (;;) pause(); }}"


CASES = {
    "another user": "gid_t g[] = {7, 70000}; groups(2, g); gids(5, 5, 5); uids(1000, 1000, 1000);",
    "ids all different": "gid_t g[] = {1, 2, 3}; groups(3, g); gids(11, 12, 13); uids(21, 22, 23);",
    "file system ids": "setfsgid(33); setfsuid(34);",
    "user and file system ids": "MUST(prctl(PR_SET_KEEPCAPS, 1)); gids(1, 2, 3); setfsgid(44); uids(5, 6, 7);"
    "caps(CAP(CAP_SETUID), CAP(CAP_SETUID) | CAP(CAP_CHOWN), 0); setfsuid(55); MUST(prctl(PR_SET_KEEPCAPS, 0));",
    "root for a moment": "gids(5, 5, 5); uids(1000, 1000, 0);",
    "root in effect": "uids(1000, 0, 1000);",
    "capabilities of another user": "MUST(prctl(PR_SET_KEEPCAPS, 1)); uids(1000, 1000, 1000);"
    "caps(CAP(CAP_NET_BIND_SERVICE), CAP(CAP_NET_BIND_SERVICE) | CAP(CAP_NET_RAW) | CAP(CAP_BPF), CAP(CAP_KILL));",
    "keepcaps": "MUST(prctl(PR_SET_KEEPCAPS, 1));",
    "keepcaps of another user": "MUST(prctl(PR_SET_KEEPCAPS, 1)); uids(1, 1, 1);",
    "root with nothing": "caps(0, 0, 0);",
    "root with little": "caps(CAP(CAP_KILL), CAP(CAP_KILL) | CAP(CAP_SETUID), CAP(CAP_CHOWN));",
    "bounding set": "drop(CAP_SYS_ADMIN); drop(CAP_CHECKPOINT_RESTORE); drop(CAP_CHOWN);",
    "empty bounding set": "for (int i = 0; i <= 40; i++) drop(i);",
    "inheritable outside of the bounding set": "struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};"
    "struct __user_cap_data_struct d[2]; MUST(syscall(SYS_capget, &h, d)); d[0].inheritable = CAP(CAP_KILL);"
    "MUST(syscall(SYS_capset, &h, d)); drop(CAP_KILL);",
    "ambient": "MUST(prctl(PR_SET_KEEPCAPS, 1)); uids(1000, 1000, 1000);"
    "uint64_t s = CAP(CAP_NET_RAW) | CAP(CAP_PERFMON); caps(s, s, s); raise_ambient(CAP_NET_RAW);"
    "raise_ambient(CAP_PERFMON);",
    "ambient of root": "caps(CAP(CAP_NET_RAW), CAP(CAP_NET_RAW), CAP(CAP_NET_RAW)); raise_ambient(CAP_NET_RAW);",
    "securebits": "MUST(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS));",
    "all securebits locked": "uint64_t s = CAP(CAP_NET_RAW) | CAP(CAP_SETPCAP); caps(s, s, s);"
    "raise_ambient(CAP_NET_RAW); MUST(prctl(PR_SET_SECUREBITS, 0xff));",
    "everything at once": "gid_t g[] = {4, 5}; groups(2, g); drop(CAP_SYS_TIME); gids(31, 32, 33); setfsgid(34);"
    "MUST(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT));"
    "uids(41, 42, 43); setfsuid(44); uint64_t s = CAP(CAP_NET_RAW) | CAP(CAP_KILL); caps(CAP(CAP_KILL), s, s);"
    "raise_ambient(CAP_KILL);",
}


def record_of(puppet, tid):
    return answer(puppet, lambda batch: credentials.dump(status_of(tid), batch))


@pytest.mark.parametrize("body", CASES.values(), ids=CASES)
def test_credentials_come_back(body):
    with program(alone(body)) as target:
        with hold(target.pid) as process:
            record = record_of(process, target.pid)
        target.end()
        with newborn(target.pid) as puppet:
            born = record_of(puppet, target.pid)

            assert record != born

            run(puppet, lambda batch: credentials.restore(batch, record, born))

            assert record == record_of(puppet, target.pid)


def test_threads_differ():
    source = f"""{TOOLS}
    static volatile int others;
    static void *second(void *ignored) {{ gids(5, 5, 5); uids(6, 6, 6); others++; for (;;) pause(); }}
    static void *third(void *ignored) {{ drop(CAP_KILL); others++; for (;;) pause(); }}
    int main(void) {{
        pthread_t thread;
        pthread_create(&thread, NULL, second, NULL);
        while (others < 1) usleep(1000);
        pthread_create(&thread, NULL, third, NULL);
        while (others < 2) usleep(1000);
        ready();
        for (;;) pause();
    }}"""
    with program(source) as target:
        tids = tasks(target.pid)
        with hold(target.pid) as process:
            records = {tid: record_of(process.on(tid), tid) for tid in tids}
        target.end()

        assert 3 == len(set(records.values()))

        with newborn(target.pid) as main:
            born = record_of(main, main.pid)
            puppets = {tid: main if tid == main.pid else thread(main, tid) for tid in tids}
            for tid, puppet in puppets.items():
                run(puppet, lambda batch, tid=tid: credentials.restore(batch, records[tid], born))

            assert records == {tid: record_of(puppet, tid) for tid, puppet in puppets.items()}


def test_what_the_newborn_has_too_much_is_taken():
    with newborn() as puppet:
        first = record_of(puppet, puppet.pid)
        rich = dataclasses.replace(
            first, groups=(9,), inheritable=0b111, ambient=0b11, securebits=cap.SECBIT_KEEP_CAPS, gids=(1, 2, 3, 4)
        )
        run(puppet, lambda batch: credentials.restore(batch, rich, first))

        assert rich == record_of(puppet, puppet.pid)

        poor = dataclasses.replace(first, inheritable=0b1, ambient=0b1)
        run(puppet, lambda batch: credentials.restore(batch, poor, rich))

        assert poor == record_of(puppet, puppet.pid)


def test_credentials_that_are_right_cost_no_calls():
    with newborn() as puppet:
        born = record_of(puppet, puppet.pid)
    batch = Batch()
    credentials.restore(batch, born, born)

    assert 0 == len(batch)
    assert [] == credentials.missing(born, born)


ROOT = credentials.CredentialsRecord(
    uids=(0, 0, 0, 0),
    gids=(0, 0, 0, 0),
    groups=(),
    inheritable=0,
    permitted=0x1FF_FEFF_FFFF,
    effective=0x1FF_FEFF_FFFF,
    bounding=0x1FF_FEFF_FFFF,
    ambient=0,
    securebits=0,
)
USER = dataclasses.replace(ROOT, uids=(1000,) * 4, gids=(1000,) * 4, permitted=0, effective=0)
SYS_RESOURCE = cap.bit(cap.CAP_SYS_RESOURCE)


@pytest.mark.parametrize(
    ("record", "born", "said"),
    [
        (
            dataclasses.replace(ROOT, permitted=ROOT.permitted | SYS_RESOURCE),
            ROOT,
            "CAP_SYS_RESOURCE in the permitted set",
        ),
        (
            dataclasses.replace(ROOT, bounding=ROOT.bounding | SYS_RESOURCE),
            ROOT,
            "CAP_SYS_RESOURCE in the bounding set",
        ),
        (dataclasses.replace(ROOT, permitted=ROOT.permitted | 1 << 41), ROOT, "capability 41 in the permitted set"),
        (dataclasses.replace(ROOT, inheritable=SYS_RESOURCE), ROOT, "CAP_SYS_RESOURCE in the inheritable set"),
        (dataclasses.replace(USER, inheritable=1), USER, "CAP_CHOWN in the inheritable set"),
        (ROOT, USER, "CAP_SETUID, to change user ids"),
        (ROOT, USER, "CAP_SETGID, to change group ids"),
        (dataclasses.replace(USER, groups=(1,)), USER, "CAP_SETGID, to set the supplementary groups"),
        (dataclasses.replace(USER, bounding=0), USER, "CAP_SETPCAP, to shrink the bounding set"),
        (dataclasses.replace(USER, securebits=1), USER, "CAP_SETPCAP, to set the securebits"),
        (ROOT, dataclasses.replace(ROOT, securebits=3), "securebits 0x0, while 0x3 are locked here"),
        (
            dataclasses.replace(USER, permitted=1, securebits=0x20),
            dataclasses.replace(ROOT, securebits=0x20),
            "PR_SET_KEEPCAPS, which is locked here",
        ),
    ],
)
def test_what_crtool_lacks_is_named(record, born, said):
    assert said in "; ".join(credentials.missing(record, born))

    batch = Batch()
    with pytest.raises(EnvironmentDiffers, match="cannot be taken up here"):
        credentials.restore(batch, record, born)

    assert 0 == len(batch)


def test_a_user_needs_nothing_to_be_itself_again():
    swapped = dataclasses.replace(USER, uids=(1000, 1000, 1000, 1000), securebits=cap.SECBIT_KEEP_CAPS)

    assert [] == credentials.missing(swapped, USER)
