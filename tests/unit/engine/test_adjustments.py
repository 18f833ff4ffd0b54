"""The operations on semaphores that ask for an adjustment, against the kernel's rules (perform_atomic_semop_slow())."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.abi.ipc import SEM_UNDO, SEMBUF
from crtool.errors import ObstacleError
from crtool.kernel.sysvipc import Permissions
from crtool.puppet.batch import Batch
from crtool.resources.ipc import undo
from crtool.resources.ipc.semaphores import SetRecord

HIGHEST, MOST = 32767, 32767


class Kernel:
    """A puppet with one semaphore."""

    def __init__(self, value, adjustment):
        self.value, self.adjustment = value, adjustment

    def run(self, batch):
        for call in batch:
            _, operations, count = call.args
            assert count <= 500  # SEMOPM
            call.finish(-self.operate(operations))

    def operate(self, operations):
        value, adjustment = self.value, self.adjustment
        for _, operation, flags in SEMBUF.iter_unpack(operations):
            value += operation
            if value < 0:
                return errno.EAGAIN
            if value > HIGHEST:
                return errno.ERANGE
            if flags & SEM_UNDO:
                adjustment -= operation
                if not -MOST - 1 <= adjustment <= MOST:
                    return errno.ERANGE
        self.value, self.adjustment = value, adjustment
        return 0


values = st.integers(0, HIGHEST) | st.sampled_from([0, 1, 16000, 16383, 16384, 32766, 32767])
adjustments = st.integers(-MOST - 1, MOST) | st.sampled_from([-32768, -32767, -1, 0, 1, 32767])


@given(values, adjustments)
def test_an_adjustment_is_found_and_nothing_has_changed(value, adjustment):
    kernel = Kernel(value, adjustment)
    record = SetRecord(Permissions(7, 0, 0, 0, 0, 0, 0o600), (value,), True)

    found = list(undo.dump(kernel, 1, [record], lambda _: True))

    assert ([] if adjustment == 0 else [undo.AdjustmentRecord(1, 7, 0, adjustment)]) == found
    assert (value, adjustment) == (kernel.value, kernel.adjustment)


@given(values, adjustments)
def test_an_adjustment_is_given_back_and_the_value_stays(value, adjustment):
    kernel, batch = Kernel(value, 0), Batch()

    undo.restore(batch, undo.AdjustmentRecord(1, 7, 0, adjustment), value)
    kernel.run(batch)

    assert (value, adjustment) == (kernel.value, kernel.adjustment)


class Strange(Kernel):
    """The set is somebody else's, who lets nobody change it."""

    def operate(self, operations):
        return errno.EACCES


def test_a_set_that_it_may_not_change_is_asked_about_only_if_it_has_changed_it():
    record = SetRecord(Permissions(7, 0, 0, 0, 0, 0, 0o600), (3, 4), True)

    assert [] == list(undo.dump(Strange(3, 0), 1, [record], lambda _: False))
    with pytest.raises(ObstacleError):
        list(undo.dump(Strange(3, 0), 1, [record], lambda _: True))
