"""Execution domains of threads: twin of personality."""

from __future__ import annotations

from crtool.puppet.batch import Batch
from crtool.resources import personality

from .puppets import newborn, program, run, tasks, thread

ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, PER_LINUX32 = 0x0040000, 0x0400000, 0x0008

SOURCE = """
#include <sys/personality.h>
static volatile int other;
static void *second(void *ignored) {
    MUST(personality(PER_LINUX32 | READ_IMPLIES_EXEC));
    other = 1;
    for (;;) pause();
}
int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, second, NULL);
    while (!other) usleep(1000);
    MUST(personality(ADDR_NO_RANDOMIZE));
    ready();
    for (;;) pause();
}
"""


def test_personalities_of_two_threads_come_back():
    with program(SOURCE) as target:
        first, second = tasks(target.pid)
        records = {tid: personality.dump(tid) for tid in (first, second)}
        target.end()

        assert ADDR_NO_RANDOMIZE == records[first].persona
        assert PER_LINUX32 | READ_IMPLIES_EXEC == records[second].persona

        with newborn(target.pid) as main:
            born = personality.dump(first)
            puppets = {first: main, second: thread(main, second)}
            for tid, puppet in puppets.items():
                run(puppet, lambda batch, tid=tid: personality.restore(batch, records[tid], born))

            assert records == {tid: personality.dump(tid) for tid in puppets}
            assert ADDR_NO_RANDOMIZE == main.call("personality", 0xFFFFFFFF).value


def test_the_personality_that_is_right_costs_no_calls():
    with newborn() as puppet:
        born = personality.dump(puppet.pid)
    batch = Batch()
    personality.restore(batch, born, born)

    assert 0 == len(batch)
