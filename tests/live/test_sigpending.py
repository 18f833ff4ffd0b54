"""Pending signals, from a program to a blank process."""

from __future__ import annotations

import os
import signal
import struct

from crtool.abi.signals import ALL_SIGNALS, SI_TIMER, bit
from crtool.kernel import ptrace
from crtool.puppet.batch import Batch
from crtool.resources import sigpending
from crtool.resources.sigpending import PendingRecord

from .puppets import bytes_of, hold, newborn, program, run, status_of, tasks, thread

PRELUDE = """
static pid_t other;
static void *sleeper(void *ignored) { other = syscall(SYS_gettid); for (;;) pause(); }
static pthread_t begin(void) {
    pthread_t thread;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    pthread_create(&thread, NULL, sleeper, NULL);
    while (!other) usleep(1000);
    return thread;
}
static void queue(int number, int value) { union sigval v = {.sival_int = value}; MUST(sigqueue(getpid(), number, v)); }
"""
QUEUES = (
    PRELUDE
    + """
int main(void) {
    pthread_t thread = begin();
    queue(SIGRTMIN + 2, 1);
    kill(getpid(), SIGUSR1);
    queue(SIGRTMIN + 1, 2);
    queue(SIGRTMIN + 2, 3);
    kill(getpid(), SIGCHLD);
    kill(getpid(), SIGTSTP);
    union sigval value = {.sival_ptr = (void *)0x123456789abcdef0};
    pthread_sigqueue(thread, SIGRTMIN + 2, value);
    pthread_kill(thread, SIGUSR2);
    pthread_kill(pthread_self(), SIGINT);
    siginfo_t info = {.si_signo = SIGRTMAX, .si_code = -123};
    memset((char *)&info + 16, 0xab, 32);
    MUST(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMAX, &info));
    ready();
    for (;;) pause();
}
"""
)
WITHOUT_ROOM = (
    PRELUDE
    + """
int main(void) {
    begin();
    MUST(setuid(54321));  /* a user of his own, or root's other signals would count */
    struct rlimit none = {0, 0};
    MUST(setrlimit(RLIMIT_SIGPENDING, &none));
    MUST(kill(getpid(), SIGRTMIN + 5));
    ready();
    for (;;) pause();
}
"""
)


def dump(process):
    main, *threads = process.threads.values()
    return (
        sigpending.dump(process, status_of(process.pid)),
        [sigpending.dump_thread(held, status_of(process.pid, held.tid)) for held in (main, *threads)],
    )


def numbers(record):
    return [int.from_bytes(info[:4], "little") for info in record.queue]


def queue_of(puppet, *, shared):
    return tuple(info.rstrip(b"\0") for info in ptrace.queued_signals(puppet.tid, shared=shared))


def taken(puppet):
    """Takes a signal as sigwaitinfo(2) does: number, si_code."""
    info = bytes_of(puppet, 128, "rt_sigtimedwait", ALL_SIGNALS.to_bytes(8, "little"), None, bytes(16), 8)
    return struct.unpack_from("<i4xi", info)


def test_queues_come_back_in_their_order():
    with program(QUEUES) as target:
        first, second = tasks(target.pid)
        with hold(target.pid) as process:
            shared, (of_first, of_second) = dump(process)
        assert [36, 10, 35, 36, 17, 20, 64] == numbers(shared)
        assert [2] == numbers(of_first)
        assert [36, 12] == numbers(of_second)
        assert 0 == shared.bare == of_first.bare == of_second.bare
        target.end()

        with newborn(target.pid) as puppet:
            other = thread(puppet, second)
            run(puppet, sigpending.flush)
            run(puppet, lambda batch: sigpending.restore(batch, shared, {}))
            run(puppet, lambda batch: sigpending.restore_thread(batch, of_first, {}))
            run(other, lambda batch: sigpending.restore_thread(batch, of_second, {}))

            assert shared.queue == queue_of(puppet, shared=True)
            assert of_first.queue == queue_of(puppet, shared=False)
            assert of_second.queue == queue_of(other, shared=False)
            assert first == puppet.tid


def test_the_shared_queue_can_be_filled_by_any_thread():
    with program(QUEUES) as target:
        second = tasks(target.pid)[1]
        with hold(target.pid) as process:
            shared, _ = dump(process)
        target.end()

        with newborn(target.pid) as puppet:
            other = thread(puppet, second)
            run(other, lambda batch: sigpending.restore(batch, shared, {}))

            assert shared.queue == queue_of(puppet, shared=True)


def test_a_signal_without_an_entry_is_delivered_as_the_kernel_would():
    with program(WITHOUT_ROOM) as target:
        with hold(target.pid) as process:
            record, _ = dump(process)
        target.end()
        assert PendingRecord((), bit(39)) == record

        with newborn(target.pid) as puppet:
            run(puppet, lambda batch: sigpending.restore(batch, record, {}))

            assert bit(39) == status_of(puppet.pid).shared_pending
            assert (39, 0) == taken(puppet)


def test_what_births_and_deaths_send_is_flushed():
    with newborn() as puppet:
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGCONT):
            os.kill(puppet.pid, number)
        assert status_of(puppet.pid).shared_pending

        run(puppet, sigpending.flush)

        assert 0 == status_of(puppet.pid).shared_pending
        assert () == queue_of(puppet, shared=True)


def test_pending_and_sent_from_outside_a_stop():
    with program(QUEUES) as target:
        second = tasks(target.pid)[1]
        with hold(target.pid) as process:
            os.kill(target.pid, signal.SIGSTOP)
            shared, _ = dump(process)
            assert sigpending.is_pending(shared, signal.SIGSTOP)
        target.end()

        with newborn(target.pid) as puppet:
            thread(puppet, second)
            run(puppet, lambda batch: sigpending.restore(batch, shared, {}))
            assert not status_of(puppet.pid).shared_pending & bit(signal.SIGSTOP)

            sigpending.restore_from_outside(puppet.pid, shared)

            assert status_of(puppet.pid).shared_pending & bit(signal.SIGSTOP)


def test_a_stop_that_was_kept_back_counts():
    with (
        program(PRELUDE + "int main(void) { begin(); ready(); for (;;) pause(); }") as target,
        hold(target.pid) as process,
    ):
        process.threads[target.pid].stop_signals.append(signal.SIGSTOP)
        try:
            record = sigpending.dump(process, status_of(target.pid))
        finally:
            process.threads[target.pid].stop_signals.clear()

        assert PendingRecord((), bit(signal.SIGSTOP)) == record


def test_entries_of_timers_are_left_to_the_timers():
    entry = struct.pack("<iii4xi", 34, 0, SI_TIMER, 7)
    faked = struct.pack("<iii4xi", 34, 0, SI_TIMER, 8)
    record = PendingRecord((entry.rstrip(b"\0"), faked.rstrip(b"\0")), 0)
    batch = Batch()
    expired = []

    sigpending.restore(batch, record, {7: lambda batch: expired.append(7)})

    assert frozenset({7, 8}) == sigpending.timer_ids([record, PendingRecord((), 3)])
    assert [7] == expired
    assert ["gettid"] == [call.name for call in batch]


def test_nothing_pending_costs_no_calls():
    batch = Batch()
    sigpending.restore(batch, PendingRecord((), 0), {})
    sigpending.restore_thread(batch, PendingRecord((), 0), {})

    assert 0 == len(batch)
