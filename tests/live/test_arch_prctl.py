"""Shadow stacks and tagged addresses are refused: twin of arch_prctl."""

from __future__ import annotations

import dataclasses
import os

from crtool.resources import arch_prctl

from .puppets import status_of


def plain():
    return dataclasses.replace(status_of(os.getpid()), x86_thread_features=frozenset(), untag_mask=(1 << 64) - 1)


def test_a_thread_without_any_of_it_is_no_obstacle():
    assert [] == arch_prctl.obstacles(os.getpid(), plain())
    assert [] == arch_prctl.obstacles(os.getpid(), dataclasses.replace(plain(), untag_mask=None))


def test_a_shadow_stack_is_an_obstacle():
    status = dataclasses.replace(plain(), x86_thread_features=frozenset({"shstk"}))
    (obstacle,) = arch_prctl.obstacles(status.pid, status)

    assert "shadow stack" in str(obstacle)
    assert "x86_shstk=off" in obstacle.remedy
    assert f"PID {status.pid}:" in str(obstacle)


def test_tagged_addresses_are_an_obstacle():
    status = dataclasses.replace(plain(), untag_mask=0x81FF_FFFF_FFFF_FFFF)
    (obstacle,) = arch_prctl.obstacles(1, status)

    assert "tagged addresses" in obstacle.cause
    assert f"thread {status.pid}" == obstacle.what
