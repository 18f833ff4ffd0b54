"""Entering the PID namespace of somebody else, for the next births (setns(2), pid_namespaces(7))."""

from __future__ import annotations

from crtool.abi.clone import CLONE_NEWPID
from crtool.puppet.batch import Batch

__all__ = ["enter_pid_namespace", "return_to_pid_namespace"]


def enter_pid_namespace(batch: Batch, first: int) -> None:
    """Lets the puppet bear its children into the PID namespace of process *first*, a number as the puppet sees it.

    It takes CAP_SYS_ADMIN, and setns(2) with a pidfd (since 5.8, commit 303cc571d107 "nsproxy: attach to namespaces
    via pidfds").
    """
    pidfd = batch.call("pidfd_open", first, 0, label="first of a PID namespace")
    batch.call("setns", pidfd, CLONE_NEWPID, label="PID namespace of the children")
    batch.call("close", pidfd)


def return_to_pid_namespace(batch: Batch) -> None:
    """Lets the puppet bear its children into its own PID namespace again."""
    own = batch.call("pidfd_open", batch.call("getpid"), 0, label="oneself")
    batch.call("setns", own, CLONE_NEWPID, label="PID namespace of the children")
    batch.call("close", own)
