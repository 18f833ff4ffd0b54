"""The alternate signal stack, from a program to a blank process."""

from __future__ import annotations

import pytest

from crtool.puppet.batch import Batch
from crtool.resources import altstack
from crtool.resources.altstack import AltstackRecord

from .puppets import answer, hold, newborn, program, run

SOURCE = """
static stack_t stack;
static void on_usr1(int number) { ready(); for (;;) pause(); }
int main(void) {
    char *room = malloc(1 << 16);
    stack = (stack_t){.ss_sp = room, .ss_flags = %s, .ss_size = 1 << 16};
    MUST(sigaltstack(&stack, NULL));
    printf("%%lu\\n", (unsigned long)room);
    struct sigaction action = {.sa_handler = on_usr1, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    if (%d) raise(SIGUSR1);
    ready();
    for (;;) pause();
}
"""
SS_AUTODISARM, SS_DISABLE = 1 << 31, 2


def round_trip(flags: str, *, in_handler: bool) -> tuple[AltstackRecord | None, int]:
    with program(SOURCE % (flags, in_handler)) as target:
        with hold(target.pid) as process:
            main = process.threads[target.pid]
            record = answer(process.on(target.pid), lambda batch: altstack.dump(process, main, batch))
        target.end()
        with newborn(target.pid) as puppet:
            run(puppet, lambda batch: altstack.restore(batch, record))
            assert record == answer(puppet, lambda batch: altstack.dump(puppet, None, batch))
    return record, int(target.said[0])


@pytest.mark.parametrize("in_handler", [False, True], ids=["aside", "in use"])
def test_the_stack_comes_back(in_handler):
    record, address = round_trip("0", in_handler=in_handler)

    assert AltstackRecord(address, 0, 1 << 16) == record


def test_a_stack_that_disarms_itself():
    record, address = round_trip("1U << 31", in_handler=False)

    assert record is not None
    assert (address, SS_AUTODISARM) == (record.address, record.flags & 0xFFFFFFFF)


def test_a_stack_that_has_disarmed_itself_is_none():
    record, _ = round_trip("1U << 31", in_handler=True)

    assert record is None


def test_none_costs_no_calls():
    batch = Batch()
    altstack.restore(batch, None)

    assert 0 == len(batch)
