"""Why a process may not be looked at."""

from __future__ import annotations

import os
import pwd

import pytest

from crtool.procfs import permission


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> int:
    """Who crtool seems to be: a user that this process is not."""
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    return 4711


def test_whose_it_is(somebody: int) -> None:
    error = permission.not_permitted(os.getpid(), "trace it")
    me = pwd.getpwuid(os.getresuid()[1]).pw_name

    assert f"PID {os.getpid()}: not permitted to trace it: it belongs to {me} (user {os.getuid()})" == error.message
    assert 121 == error.status


@pytest.mark.parametrize(
    ("uids", "remedy"),
    [
        ({1000}, "run crtool as root, or as user 1000"),
        ({0}, "run crtool as root"),
        ({0, 4711}, "run crtool as root"),
        ({1000, 4711}, "run crtool as root"),
    ],
)
def test_who_may(uids: set[int], remedy: str, somebody: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permission, "_uids", lambda pid, proc: uids)
    monkeypatch.setattr(permission, "user_name", lambda uid: f"user {uid}")

    assert remedy == permission.not_permitted(1, "trace it").remedy


def test_his_own_that_protects_itself(somebody: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permission, "_uids", lambda pid, proc: {somebody})

    assert "protects itself" in permission.not_permitted(os.getpid(), "trace it").message


def test_root_without_the_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(permission, "_may_trace_all", lambda: False)

    assert "CAP_SYS_PTRACE" in str(permission.not_permitted(1, "trace it").remedy)


def test_a_user_without_a_name() -> None:
    assert "user 4294967294" == permission.user_name(4294967294)
