"""POSIX timers, from a program to a blank process."""

from __future__ import annotations

import struct
import time
from types import SimpleNamespace

import pytest

from crtool.abi.signals import SI_TIMER, bit
from crtool.errors import EnvironmentDiffers
from crtool.kernel import ptrace
from crtool.procfs.read import read
from crtool.procfs.timers import parse
from crtool.resources import sigpending
from crtool.resources.timers import create, overruns, posix
from crtool.resources.timers.create import NewTimer, create_all
from crtool.resources.timers.posix import PosixTimerRecord

from .puppets import answer, bytes_of, hold, newborn, program, run, status_of, tasks, thread

MS = 1_000_000
SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID = 0, 1, 2, 4

SOURCE = """
static pid_t other;
static sigset_t all;
static int make(int clock, int notify, int number, void *value, pid_t thread) {
    struct sigevent event = {.sigev_notify = notify, .sigev_signo = number, .sigev_value.sival_ptr = value};
    event._sigev_un._tid = thread;
    int id = -1;
    MUST(syscall(SYS_timer_create, clock, &event, &id));
    return id;
}
static void set(int id, long left, long interval) {  /* milliseconds */
    struct itimerspec setting = {{interval / 1000, interval %% 1000 * 1000000}, {left / 1000, left %% 1000 * 1000000}};
    MUST(syscall(SYS_timer_settime, id, 0, &setting, NULL));
}
static void destroy(int id) { MUST(syscall(SYS_timer_delete, id)); }
static void take(int number) {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    siginfo_t info;
    MUST(sigwaitinfo(&one, &info));
}
static void queue(int number, int value) { union sigval v = {.sival_int = value}; MUST(sigqueue(getpid(), number, v)); }
static void *sleeper(void *ignored) { other = syscall(SYS_gettid); for (;;) pause(); }
static void second_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, sleeper, NULL);
    while (!other) usleep(1000);
}
int main(void) {
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    %s
    ready();
    for (;;) pause();
}
"""


def dumped(setup: str) -> SimpleNamespace:
    """A program held, and what it had."""
    with program(SOURCE % setup) as target:
        tids = tasks(target.pid)
        with hold(target.pid) as process:
            records = answer(process, lambda batch: posix.dump(process, batch))
            shared = sigpending.dump(process, status_of(target.pid))
            own = {
                tid: sigpending.dump_thread(held, status_of(target.pid, tid)) for tid, held in process.threads.items()
            }
        text = read(target.pid, "timers")
    return SimpleNamespace(pid=target.pid, tids=tids, records=records, shared=shared, own=own, text=text)


def restore(puppet, was):
    """All threads, all timers and all signals, in the order that the resources ask for."""
    threads = {was.tids[0]: puppet, **{tid: thread(puppet, tid) for tid in was.tids[1:]}}
    run(puppet, sigpending.flush)
    pending = sigpending.timer_ids([was.shared, *was.own.values()])
    left = posix.restore(puppet, threads, was.records, pending)
    run(puppet, lambda batch: sigpending.restore(batch, was.shared, left.expire))
    run(puppet, left.start)
    for tid, own in was.own.items():
        run(threads[tid], lambda batch, own=own: sigpending.restore_thread(batch, own, left.expire))
    return threads, left.warnings


def ask(puppet):
    return answer(puppet, lambda batch: posix.dump(puppet, batch))


def entries(puppet, *, shared=True):
    """Signal, si_code, timer ID or sender, value: all that is said of a queued signal but the overruns."""
    infos = ptrace.queued_signals(puppet.tid, shared=shared)
    return [struct.unpack_from("<i4xi4xi4xQ", info) for info in infos]


def entries_of(record):
    return [struct.unpack_from("<i4xi4xi4xQ", info.ljust(128, b"\0")) for info in record.queue]


def take(puppet, signal):
    """Signal number, si_code, timer ID and overrun of the next *signal*."""
    info = bytes_of(
        puppet, 128, "rt_sigtimedwait", bit(signal).to_bytes(8, "little"), None, struct.pack("<qq", 2, 0), 8
    )
    return struct.unpack_from("<i4xi4xii", info)


def without_time(records):
    return [SimpleNamespace(**{**record.__dict__, "left": bool(record.left)}) for record in records]


ONE_OF_EACH = """
    second_thread();
    int gap = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGALRM, 0, 0);
    set(make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, (void *)0x123456789abcdef0, 0), 5000, 700);
    set(make(CLOCK_REALTIME, SIGEV_NONE, 0, (void *)7, 0), 6000, 0);
    int second_gap = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGALRM, 0, 0);
    set(make(CLOCK_BOOTTIME, SIGEV_THREAD_ID, SIGRTMAX, (void *)8, other), 7000, 0);
    make(CLOCK_TAI, SIGEV_SIGNAL, SIGUSR1, 0, 0);
    set(make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR2, 0, 0), 8000, 80);
    set(make(CLOCK_THREAD_CPUTIME_ID, SIGEV_THREAD_ID, SIGUSR2, 0, getpid()), 9000, 0);
    set(make(-6 - (getpid() << 3), SIGEV_SIGNAL, SIGUSR2, 0, 0), 9000, 0);
    set(make(CLOCK_MONOTONIC, SIGEV_THREAD, SIGRTMIN + 1, 0, 0), 5000, 700);
    destroy(gap);
    destroy(second_gap);
"""


@pytest.mark.parametrize("counting", [False, True], ids=["IDs chosen", "IDs counted"])
def test_every_kind_comes_back_with_its_id(counting, monkeypatch):
    was = dumped(ONE_OF_EACH)
    assert [1, 2, 4, 5, 6, 7, 8, 9] == [record.id for record in was.records]
    assert [SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID] == [record.notify for record in was.records[:3]]
    assert [0, 0, was.tids[1]] == [record.target for record in was.records[:3]]
    assert [False] == [bool(record.left) for record in was.records if record.signal == 10]
    assert SIGEV_THREAD == was.records[-1].notify
    if counting:
        monkeypatch.setattr(create, "_choosing", lambda puppet, switch: False)

    with newborn(was.pid) as puppet:
        _, warnings = restore(puppet, was)
        again = ask(puppet)

        assert () == warnings
        assert was.text == read(puppet.pid, "timers")
        assert without_time(was.records) == without_time(again)
        for old, new in zip(was.records, again, strict=True):
            assert 0 <= old.left - new.left < 2000 * MS


def test_ids_cannot_be_had_by_counting_backwards(monkeypatch):
    monkeypatch.setattr(create, "_choosing", lambda puppet, switch: False)
    with newborn() as puppet:
        create_all(puppet, [(puppet, NewTimer(id, 1, 0, 14, 0, 0)) for id in (0, 2500)])
        assert [0, 2500] == sorted(timer.id for timer in parse(read(puppet.pid, "timers")))

        with pytest.raises(EnvironmentDiffers, match="timer ID 7 cannot be had"):
            create_all(puppet, [(puppet, NewTimer(7, 1, 0, 14, 0, 0))])


def test_the_process_counts_its_new_timers_as_before():
    with newborn() as puppet:
        create_all(puppet, [(puppet, NewTimer(41, 1, 0, 14, 0, 0))])

        assert 42 == int.from_bytes(bytes_of(puppet, 4, "timer_create", 1, 0, None), "little")


@pytest.mark.parametrize(("period", "times"), [(1, 30), (7, 5), (50, 3), (400, 1)])
def test_overruns_come_back(period, times):
    was = dumped(f"""
        int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0, 0);
        set(id, {period}, {period});
        usleep({period * (times + 1) * 1000 + 300});
        take(SIGRTMIN);
    """)
    (record,) = was.records
    assert record.overrun >= times

    with newborn(was.pid) as puppet:
        _, warnings = restore(puppet, was)
        (again,) = ask(puppet)

        assert () == warnings
        assert (record.overrun, record.interval) == (again.overrun, again.interval)
        assert 0 < again.left <= record.interval


def test_the_phase_is_kept_with_the_overruns():
    record = PosixTimerRecord(3, 1, 0, 34, 0, 0, interval=4000 * MS, left=3000 * MS, overrun=2)
    with newborn() as puppet:
        left = posix.restore(puppet, {}, [record], frozenset())
        (again,) = ask(puppet)

        assert ({}, ()) == (left.expire, left.warnings)
        assert 2 == again.overrun
        assert 2000 * MS < again.left <= 3000 * MS


def test_many_fast_timers_of_one_signal_keep_their_overruns():
    records = [
        PosixTimerRecord(id, 1, 0, 34, 0, 0, interval=(id + 1) * MS, left=MS // 2, overrun=id + 5) for id in range(12)
    ]
    with newborn() as puppet:
        left = posix.restore(puppet, {}, records, frozenset())

        assert () == left.warnings
        assert [record.overrun for record in records] == [record.overrun for record in ask(puppet)]


def test_overruns_from_before_the_clock_began_are_given_up_with_a_warning():
    record = PosixTimerRecord(0, 1, 0, 34, 0, 0, interval=10**15, left=10**14, overrun=1000)
    with newborn() as puppet:
        left = posix.restore(puppet, {}, [record], frozenset())
        run(puppet, left.start)
        (again,) = ask(puppet)

        assert (f"PID {puppet.pid}: timer 0 starts with 0 overruns instead of 1000",) == left.warnings
        assert 0 < record.left - again.left < 2000 * MS


def test_a_signal_of_a_timer_waits_at_its_place_in_the_queue():
    was = dumped("""
        queue(SIGRTMIN, 1);
        int first = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, (void *)11, 0);
        int second = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, (void *)12, 0);
        set(second, 1, 0);
        usleep(3000);
        queue(SIGRTMIN, 2);
        set(first, 1, 30000);
        usleep(3000);
        queue(SIGRTMIN, 3);
    """)
    wanted = entries_of(was.shared)
    assert [-1, SI_TIMER, -1, SI_TIMER, -1] == [code for _, code, _, _ in wanted]
    assert [1, 12, 2, 11, 3] == [value for _, _, _, value in wanted]

    with newborn(was.pid) as puppet:
        _, warnings = restore(puppet, was)

        assert () == warnings
        assert wanted == entries(puppet)
        first, second = ask(puppet)
        assert 0 == second.left
        assert 29_000 * MS < first.left < 30_000 * MS
        assert [(34, -1), (34, SI_TIMER), (34, -1), (34, SI_TIMER), (34, -1)] == [
            take(puppet, 34)[:2] for _ in range(5)
        ]


def test_missed_periods_are_counted_while_the_signal_waits_on():
    was = dumped("""
        set(make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0, 0), 50, 50);
        usleep(60000);
    """)
    assert [(10, SI_TIMER, 0, 0)] == entries_of(was.shared)

    with newborn(was.pid) as puppet:
        restore(puppet, was)
        time.sleep(0.16)

        *what, missed = take(puppet, 10)
        assert [10, SI_TIMER, 0] == what
        assert missed >= 3
        assert 0 < ask(puppet)[0].left <= 50 * MS


def test_a_signal_that_was_taken_and_one_that_waits():
    was = dumped("""
        int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0, 0);
        set(id, 10, 10);
        usleep(45000);
        take(SIGRTMIN);
        usleep(15000);
    """)
    assert was.records[0].overrun >= 3
    assert [(34, SI_TIMER, 0, 0)] == entries_of(was.shared)

    with newborn(was.pid) as puppet:
        _, warnings = restore(puppet, was)

        assert () == warnings
        assert was.records[0].overrun == ask(puppet)[0].overrun
        assert [(34, SI_TIMER, 0, 0)] == entries(puppet)


def test_a_thread_that_is_signalled_has_overruns_and_a_signal_of_its_own():
    was = dumped("""
        second_thread();
        set(make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN, (void *)5, other), 1, 20000);
        set(make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 1, (void *)6, getpid()), 30, 30);
        usleep(70000);
        take(SIGRTMIN + 1);
    """)
    assert was.records[1].overrun
    assert [(34, SI_TIMER, 0, 5)] == entries_of(was.own[was.tids[1]])

    with newborn(was.pid) as puppet:
        threads, warnings = restore(puppet, was)

        assert () == warnings
        assert was.records[1].overrun == ask(puppet)[1].overrun
        assert [(34, SI_TIMER, 0, 5)] == entries(threads[was.tids[1]], shared=False)


def test_the_kernel_would_drop_the_signal_of_a_timer_set_anew_and_so_do_we():
    was = dumped("""
        int once = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0, 0);
        int gone = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0, 0);
        set(once, 1, 0);
        set(gone, 1, 0);
        usleep(3000);
        set(once, 9000, 0);
        destroy(gone);
    """)
    assert 2 == len(was.shared.queue)

    with newborn(was.pid) as puppet:
        restore(puppet, was)

        assert [] == entries(puppet)
        assert 8000 * MS < ask(puppet)[0].left < 9000 * MS


def test_a_timer_for_a_thread_that_has_ended():
    record = PosixTimerRecord(0, 1, SIGEV_THREAD_ID, 34, 0, target=999_999, interval=0, left=10**10, overrun=0)
    with newborn() as puppet:
        left = posix.restore(puppet, {}, [record], frozenset())
        run(puppet, left.start)

        assert (f"PID {puppet.pid}: timer 0 signalled a thread that has ended; it will signal nobody",) == left.warnings
        assert SIGEV_NONE == ask(puppet)[0].notify


def test_an_alarm_clock_is_made_or_refused_by_name():
    record = PosixTimerRecord(0, 8, 0, 34, 0, 0, interval=0, left=10**12, overrun=0)
    with newborn() as puppet:
        try:
            posix.restore(puppet, {}, [record], frozenset())
        except EnvironmentDiffers as error:
            assert "timer 0 wakes the machine, which has no clock for that" in error.message
        else:
            assert 8 == ask(puppet)[0].clock


def test_an_alarm_clock_needs_a_capability():
    header, none = struct.pack("<Ii", 0x20080522, 0), bytes(24)
    with newborn() as puppet:
        puppet.call("capset", header, none)

        with pytest.raises(EnvironmentDiffers, match=r"CAP_WAKE_ALARM|no clock"):
            create_all(puppet, [(puppet, NewTimer(0, 9, 0, 14, 0, 0))])


def test_more_timers_than_the_limit_allows():
    with newborn() as puppet:
        puppet.call("prlimit64", 0, 11, struct.pack("<QQ", 0, 0), 0)

        with pytest.raises(EnvironmentDiffers, match="limit of pending signals"):
            create_all(puppet, [(puppet, NewTimer(0, 1, 0, 14, 0, 0))])


def test_a_cpu_clock_of_nobody():
    with newborn() as puppet, pytest.raises(EnvironmentDiffers, match="CPU time of a process that is not here"):
        create_all(puppet, [(puppet, NewTimer(0, (~4_000_000 << 3) | 2, 0, 14, 0, 0))])


@pytest.mark.parametrize("left", [1, 300_000, 9_999_999, 10_000_000])
def test_the_moment_to_take_the_signal_lies_well_within_the_period(left):
    wanted = overruns.Wanted(1, 1, 34, period=10_000_000, left=left, overrun=4)
    now = 10**12

    first = overruns.first_expiry(wanted, now, 200_000)

    taken = now + 200_000
    for moment in (taken - 900_000, taken, taken + 900_000):
        assert 4 == (moment - first) // wanted.period
    assert abs(first + 5 * wanted.period - (now + left)) <= 1_200_000


def test_no_timers_cost_no_calls():
    class Untouched:
        pid = 1

    left = posix.restore(Untouched(), {}, [], frozenset())

    assert ({}, ()) == (left.expire, left.warnings)
