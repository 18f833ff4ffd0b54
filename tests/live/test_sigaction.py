"""Actions on signals, from a program to a blank process."""

from __future__ import annotations

import signal

from crtool.puppet.batch import Batch
from crtool.resources import sigaction
from crtool.resources.sigaction import SigactionRecord

from .puppets import answer, hold, newborn, program, run

SA_NOCLDWAIT, SA_SIGINFO, SA_ONSTACK, SA_RESTART, SA_NODEFER, SA_RESETHAND = (
    2,
    4,
    0x08000000,
    0x10000000,
    0x40000000,
    1 << 31,
)
SA_RESTORER = 0x04000000

SOURCE = """
static void on_usr1(int number) {}
static void on_last(int number, siginfo_t *info, void *context) {}
int main(void) {
    struct sigaction action = {.sa_handler = on_usr1, .sa_flags = SA_RESTART | SA_NODEFER};
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGRTMAX);
    MUST(sigaction(SIGUSR1, &action, NULL));
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_last;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
    MUST(sigaction(SIGRTMAX, &action, NULL));
    signal(SIGHUP, SIG_IGN);
    memset(&action, 0, sizeof action);
    action.sa_flags = SA_NOCLDWAIT;
    MUST(sigaction(SIGCHLD, &action, NULL));
    signal(SIGPIPE, SIG_DFL);
    printf("%lu %lu\\n", (unsigned long)on_usr1, (unsigned long)on_last);
    ready();
    for (;;) pause();
}
"""


def dump(puppet):
    return answer(puppet, lambda batch: sigaction.dump(puppet, batch))


def test_all_actions_come_back():
    with program(SOURCE) as target:
        with hold(target.pid) as process:
            records = dump(process)
        on_usr1, on_last = map(int, target.said)
        target.end()
        by_number = {record.signal: record for record in records}

        usr1, last = by_number[signal.SIGUSR1], by_number[signal.SIGRTMAX]
        assert (on_usr1, SA_RESTART | SA_NODEFER | SA_RESTORER) == (usr1.handler, usr1.flags)
        assert (1 << 1) | (1 << 63) == usr1.mask
        assert usr1.restorer == last.restorer != 0
        assert (on_last, SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_RESTORER) == (last.handler, last.flags)
        assert by_number[signal.SIGHUP].handler == 1
        assert (
            SigactionRecord(signal.SIGCHLD, 0, SA_NOCLDWAIT | SA_RESTORER, usr1.restorer, 0)
            == by_number[signal.SIGCHLD]
        )

        with newborn(target.pid) as puppet:
            run(puppet, sigaction.reset)
            run(puppet, lambda batch: sigaction.restore(batch, records))

            assert records == dump(puppet)


def test_a_newborn_ignores_what_crtool_ignores_until_the_reset():
    with newborn() as puppet:
        assert signal.SIGPIPE in {record.signal for record in dump(puppet)}, "Python ignores SIGPIPE"

        run(puppet, sigaction.reset)

        assert () == dump(puppet)


def test_no_records_cost_no_calls():
    batch = Batch()
    sigaction.restore(batch, ())

    assert 0 == len(batch)
