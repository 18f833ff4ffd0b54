"""eclone(): a child with the PIDs asked for, one for each PID namespace that it is in.

The contract is that of the patch series of 2009 (``docs/eclone.md`` has it in full); the work is done by clone3(2) with
``set_tid``, or where that is missing or hidden by a seccomp filter, by :mod:`crtool.kernel.ns_last_pid`.

Errors are OSError with the numbers of the contract, found in its order, and a line that says what is wrong:

* EINVAL, EFAULT: sizes, reserved fields, pointers; more PIDs than levels; a PID out of range; impossible flags;
* EPERM: any PIDs are given and the caller may choose none, even if all of them are 0; nothing has been done then;
* EBUSY: a PID is taken (clone3 says EEXIST), by a process, thread or zombie, or as the number of a group or session;
* ENOSYS: neither way is open here;
* and all that clone(2) answers.

The child returns 0, as from os.fork(), with everything that Python does after it. So the child has to be a process of
its own: what would share the memory of this one is refused here; a puppet can make such a birth
(:meth:`crtool.puppet.birth.Newborn.clone`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from crtool.abi import clone as flag
from crtool.abi import eclone as abi
from crtool.kernel import ns_last_pid
from crtool.kernel.clone import clone3_call, clone_call, why_no_set_tid
from crtool.kernel.eclone_args import Args, CloneArgs, CloneArgsV12, Pids, decode, decode_pids, refusal
from crtool.kernel.eclone_limits import Caller, pid_max
from crtool.kernel.eclone_request import EcloneRequest
from crtool.kernel.fork import fork_by, libc_tid_address
from crtool.record import replace

__all__ = ["CloneArgs", "CloneArgsV12", "bear", "clone_with_pids", "eclone", "request_of"]

# What a child that goes on in this interpreter cannot be given, and why.
_IMPOSSIBLE_HERE = {
    flag.CLONE_THREAD: "CLONE_THREAD: a thread that Python has not made cannot run Python; use threading",
    flag.CLONE_VM: "CLONE_VM: parent and child would run one interpreter in the same memory",
    flag.CLONE_SIGHAND: "CLONE_SIGHAND: it needs CLONE_VM, and parent and child would run one interpreter",
    flag.CLONE_SETTLS: "CLONE_SETTLS: the C library of the child would lose its thread",
}
_NOTHING_SPECIAL = CloneArgs()
_LEGACY_FLAGS = 0xFFFFFFFF & ~flag.CLONE_NEWTIME  # what clone(2) can be told
# Tries to find a free inner number. They are made at random, so with 9 of 10 numbers taken 1 search in 800 fails.
_TRIES = 64


def eclone(
    flags_low: int,
    args: Args = _NOTHING_SPECIAL,
    args_size: int | None = None,
    pids: Pids = (),
) -> int:
    """Makes a child of this process; returns its PID in the caller's PID namespace, and 0 in the child.

    *flags_low*: the flags of clone(2), with the exit signal in the low byte. *args*: struct clone_args, 48 or 56 bytes
    as *args_size* says. *pids*: outermost namespace first, the caller's own last, 0 for any; with CLONE_NEWPID the 1 in
    the new namespace is not among them. Raises OSError as the module says.
    """
    return bear(request_of(flags_low, args, args_size, pids))


def clone_with_pids(
    flags: int, child_stack: int = 0, parent_tid: int = 0, child_tid: int = 0, tls: int = 0, pids: Iterable[int] = ()
) -> int:
    """The forerunner of eclone(), v6: the arguments of clone(2) and the PIDs, oldest namespace first.

    *child_stack* is its top; *tls* counts only with CLONE_SETTLS, which is refused here. Errors as of :func:`eclone`.
    """
    args = CloneArgs(child_stack=child_stack, parent_tid_ptr=parent_tid, child_tid_ptr=child_tid)
    return eclone(flags, args, pids=tuple(pids))


def request_of(flags_low: int, args: Args, args_size: int | None, pids: Pids) -> EcloneRequest:
    """Checks everything that can be checked before a birth, in the order of the contract."""
    decoded = decode(args, args_size, pids)
    if flags_low & flag.CLONE_NEWUSER and flags_low & (flag.CLONE_THREAD | flag.CLONE_FS):
        raise refusal(errno.EINVAL, "CLONE_NEWUSER does not go together with CLONE_THREAD or CLONE_FS")
    caller = Caller.now()
    if decoded.nr_pids > (caller.levels if caller.levels_are_all else abi.LEVELS_MAX):
        raise refusal(errno.EINVAL, _too_many(decoded.nr_pids, caller))
    numbers = decode_pids(pids, decoded.nr_pids)
    if numbers and not caller.may_choose:
        raise refusal(errno.EPERM, _FORBIDDEN)
    _check_flags(flags_low, decoded.stack)
    for number in numbers:
        if not 0 <= number < 1 << 31:
            raise refusal(errno.EINVAL, f"{number} is no PID")
    return EcloneRequest(
        flags=flags_low & abi.FLAGS,
        exit_signal=flags_low & abi.CSIGNAL,
        pids=numbers,
        stack=decoded.stack,
        stack_size=decoded.stack_size,
        parent_tid=decoded.parent_tid,
        child_tid=decoded.child_tid,
    )


_FORBIDDEN = (
    "choosing a PID takes CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN, in the user namespace of each PID namespace that is "
    "named"
)


def _too_many(count: int, caller: Caller) -> str:
    levels = f"{caller.levels} level{'s' if caller.levels > 1 else ''}"
    return f"{count} PIDs are given, but a child here has {levels} of PID namespaces (the 1 in a new one is not named)"


def _check_flags(flags_low: int, stack: int) -> None:
    if not 0 <= flags_low < 1 << 32:
        raise refusal(errno.EINVAL, f"flags_low has 32 bits, {flags_low:#x} has not")
    for bit, why in abi.CHANGED_FLAGS.items():
        if flags_low & bit:
            raise refusal(errno.EINVAL, why)
    if flags_low & abi.CSIGNAL > abi.SIGNAL_MAX:
        raise refusal(errno.EINVAL, f"the exit signal {flags_low & abi.CSIGNAL} is none")
    for bit, why in _IMPOSSIBLE_HERE.items():
        if flags_low & bit:
            raise refusal(errno.EINVAL, f"not possible for a child that goes on in Python: {why}")
    if stack:
        raise refusal(errno.EINVAL, "a child that goes on in Python has the stack of its parent: child_stack must be 0")


def bear(request: EcloneRequest) -> int:
    """The birth itself, of a child of this process: its PID, and 0 in the child. OSError as of :func:`eclone`.

    *request* may say more than eclone() can: CLONE_NEWTIME, CLONE_NEWCGROUP.
    """
    request = _with_tid_of_libc(request)
    try:
        return _by_set_tid(request)
    except OSError as error:
        missing = why_no_set_tid() if error.errno in (errno.ENOSYS, errno.E2BIG, errno.EPERM) else None
        if missing is None:
            raise _explained(error, request) from None
    if not request.named:
        return _by_clone(request, missing)
    if against := ns_last_pid.reason_against(request):
        raise refusal(errno.ENOSYS, f"{missing}; {against}")
    try:
        return ns_last_pid.bear(request)
    except OSError as error:
        raise _explained(error, request) from None


def _with_tid_of_libc(request: EcloneRequest) -> EcloneRequest:
    """Lets the C library of the child know its TID, as its own fork does, unless the caller has words for it."""
    ours = flag.CLONE_CHILD_SETTID | flag.CLONE_CHILD_CLEARTID
    address = None if request.flags & ours else libc_tid_address()
    return request if address is None else replace(request, flags=request.flags | ours, child_tid=address)


def _by_set_tid(request: EcloneRequest) -> int:
    for tries_left in reversed(range(_TRIES if request.holes else 1)):
        # Which of the numbers is taken the kernel does not say: other ones are tried for those that are ours to choose.
        with clone3_call(_without_holes(request).clone3()) as call:
            try:
                return fork_by(call)
            except OSError as error:
                if error.errno != errno.EEXIST or not tries_left:
                    raise
    raise AssertionError("the last try returns or raises")


def _without_holes(request: EcloneRequest) -> EcloneRequest:
    if not request.holes:
        return request
    from random import SystemRandom  # noqa: PLC0415 - needed by few, and slow to import

    # Not the module's own generator: programs that seed it expect its sequence.
    choose, limit = SystemRandom(), pid_max()
    return request.filled([choose.randrange(abi.PID_RESERVED, limit) for _ in request.holes])


def _by_clone(request: EcloneRequest, missing: str) -> int:
    """A birth without any PID of our choice, where clone3 is missing."""
    if request.flags & ~_LEGACY_FLAGS:
        raise refusal(errno.ENOSYS, f"{missing}; clone(2) does not know the flags {request.flags & ~_LEGACY_FLAGS:#x}")
    try:
        return fork_by(clone_call(request.clone3()))
    except OSError as error:
        raise _explained(error, request) from None


def _explained(error: OSError, request: EcloneRequest) -> OSError:
    """The same error with eclone's number, and words for what the kernel may mean by it."""
    named = request.named
    shown = ",".join(map(str, named))
    match error.errno:
        case errno.EEXIST:
            which = f"PID {shown} is" if len(named) == 1 else f"one of the PIDs {shown} is"
            return refusal(errno.EBUSY, f"{which} taken, by a process, thread or zombie, or as a group or session")
        case errno.EPERM if named:
            return refusal(errno.EPERM, _FORBIDDEN)
        case errno.EPERM:
            return refusal(errno.EPERM, "the kernel does not permit these namespaces or flags")
        case errno.EINVAL:
            return refusal(errno.EINVAL, _invalid(request))
        case errno.ENOMEM:
            return refusal(errno.ENOMEM, "no memory, or the first process of the PID namespace has ended")
        case _:
            return refusal(error.errno or errno.EIO, error.strerror or str(error))


def _invalid(request: EcloneRequest) -> str:
    """What about *request* the kernel refuses: it only says EINVAL."""
    caller = Caller.now()
    named = request.named
    if named and named[-1] >= pid_max():
        return f"PID {named[-1]} is out of range: numbers here are below {pid_max()} (/proc/sys/kernel/pid_max)"
    if caller.unborn_namespace and named and named[-1] != 1:
        return f"the first process of a new PID namespace is 1, not {named[-1]}"
    if len(named) > caller.levels:
        return _too_many(len(named), caller)
    if len(named) > 1:
        return f"one of the PIDs {','.join(map(str, named))} is out of range in its namespace"
    return f"the kernel does not know, or refuses together, the flags {request.flags:#x}"
