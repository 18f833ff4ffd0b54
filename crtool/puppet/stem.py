"""Namespaces for a restored tree to grow in, and who keeps them.

The *stem* is a puppet, a child of crtool. It makes the namespaces, and in them bears its own siblings (CLONE_PARENT),
who are crtool's children too: the root of the tree, whom crtool waits for as if there were no namespace, and before it,
in a PID namespace, the *keeper*. Then the stem is not needed any more.

The keeper is the first process of the PID namespace, number 1, unless the root was that itself. It mounts the /proc of
the namespace, closes everything, and spends its life in a page of machine code (``KEEPER`` of :mod:`crtool.arch`): it
waits until the root has ended, then until nobody is left, and ends. It ignores SIGCHLD, so the kernel reaps for it the
orphans that come to it. The kernel lets no signal from within end it.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from contextlib import suppress

from crtool.abi import clone as clone_abi
from crtool.abi import mount as mount_abi
from crtool.abi import ptrace as ptrace_abi
from crtool.abi.signals import SIG_IGN, SIGACTION, SIGCHLD, SIGKILL
from crtool.arch import cpu
from crtool.errors import EnvironmentDiffers, TargetDied
from crtool.kernel import ptrace
from crtool.kernel.wait import WALL
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.procfs.tasks import processes, threads
from crtool.puppet import last_pid
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn, Space, bear_root, end_child
from crtool.record import dataclass

__all__ = ["Stem", "Surroundings"]

_PR_SET_NAME = 15
_POLLIN = 1
_POLLFD = struct.Struct("<ihh")
_FAREWELL, _PAUSE = 0.1, 0.002  # seconds
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Surroundings:
    """The namespaces that a tree is to have for itself."""

    pids: bool  # a PID namespace, with a mount namespace in which /proc fits it
    keeper: bool  # the first process of the PID namespace is to be ours
    ipc: bool  # an IPC namespace
    user: bool  # a user namespace, by which an ordinary user gets the right to make the others
    clocks: tuple[int, int] | None  # a time namespace: how far, in ns, monotonic and boottime are ahead of the boot's

    @property
    def any(self) -> bool:
        """Whether there is anything to be made."""
        return self.pids or self.ipc or self.user or self.clocks is not None


class Stem:
    """The stem with its keeper."""

    def __init__(self, space: Space, surroundings: Surroundings, exit_signal: int = SIGCHLD) -> None:
        """*exit_signal*: what crtool gets when the root ends; siblings have it from the stem."""
        self._surroundings = surroundings
        self._keeper: Newborn | None = None
        self._released = 0  # PID of the keeper when it has been let go
        self._stem: Newborn | None = bear_root(space, (), 0, exit_signal)
        try:
            self._make_namespaces(self._stem)
            if surroundings.keeper:
                self._keeper = self._sibling((1,))
                self._arrange(self._keeper)
        except BaseException:
            self.end()
            raise

    def leave(self, *, failed: bool) -> None:
        """Ends the stem, which is not needed any more when everybody is born; if that has *failed*, the keeper too."""
        if failed:
            self.end()
        else:
            self._end_stem()

    def bear(self, pids: Sequence[int], flags: int = 0) -> Newborn:
        """The birth of the root, a child of crtool; *pids* are those in the namespace, and in nested ones."""
        root = self._sibling(pids, flags)
        if self._surroundings.pids and self._keeper is None:
            try:
                _mount_proc(root)
            except BaseException:
                _end(root)
                raise
        return root

    def end(self) -> None:
        """Ends stem and keeper, and with the keeper everybody in its PID namespace.

        All puppets in there must have ended and been waited for: the kernel lets the keeper end after them only.
        """
        born = [] if self._stem is None else list(self._stem.born)
        self._end_stem()
        for pid in born:  # nobody has charge of them yet; the kernel lets the keeper end after them only
            end_child(pid)
        if self._keeper is not None:
            _end_keeper(self._keeper)
            self._keeper = None

    def _end_stem(self) -> None:
        if self._stem is not None:
            _end(self._stem)
            self._stem = None

    # -- the namespaces -----------------------------------------------------------------------------------

    def _make_namespaces(self, stem: Newborn) -> None:
        wanted = self._surroundings
        if wanted.user:
            self._unshare(stem, clone_abi.CLONE_NEWUSER, "user")
            _map_users(stem.pid)
        if wanted.clocks is not None:
            self._unshare(stem, clone_abi.CLONE_NEWTIME, "time")
            _set_clocks(stem.pid, *wanted.clocks)
        if wanted.ipc:
            self._unshare(stem, clone_abi.CLONE_NEWIPC, "IPC")
        if wanted.pids:
            self._unshare(stem, clone_abi.CLONE_NEWNS, "mount")
            batch = Batch()
            # Mounts that are made outside later on shall be seen inside, but not the other way round.
            flags = mount_abi.MS_REC | mount_abi.MS_SLAVE
            batch.call("mount", batch.path("none"), batch.path("/"), 0, flags, 0, label="mounts of our own")
            stem.run(batch)
            self._unshare(stem, clone_abi.CLONE_NEWPID, "PID")

    @staticmethod
    def _unshare(stem: Newborn, flag: int, kind: str) -> None:
        call = stem.call("unshare", flag, must=False)
        if call.errno:
            raise EnvironmentDiffers(
                f"a new {kind} namespace is not possible here: {os.strerror(call.errno)}",
                "run crtool as root, or see user.max_*_namespaces (sysctl) and namespaces(7)",
            )

    def _sibling(self, pids: Sequence[int], flags: int = 0) -> Newborn:
        assert self._stem is not None
        if last_pid.needed() and self._surroundings.pids:
            # The stem is not in the PID namespace, whose last number only the keeper can set.
            if self._keeper is not None:
                batch = Batch()
                last_pid.choose_next(batch, pids[-1])
                self._keeper.run(batch)
            pids = ()
        batch = Batch()
        self._stem.clone(batch, flags | clone_abi.CLONE_PARENT, 0, pids)
        self._stem.run(batch)
        newborn = Newborn.attached(self._stem.born[-1], self._stem, thread=False)
        self._stem.born.pop()
        return newborn

    # -- the keeper -----------------------------------------------------------------------------------------

    @staticmethod
    def _arrange(keeper: Newborn) -> None:
        """What has to be there before anybody else is born."""
        batch = Batch()
        batch.call("rt_sigaction", SIGCHLD, SIGACTION.pack(SIG_IGN, 0, 0, 0), 0, 8, label="let the kernel reap")
        batch.call("chdir", batch.path("/"))
        batch.call("prctl", _PR_SET_NAME, b"crtool-init\0", 0, 0, 0)
        keeper.run(batch)
        _mount_proc(keeper)

    def settle(self, root: int) -> None:
        """Lets the keeper take its place; all that is left is to let it go. *root*: its number in the namespace."""
        keeper = self._keeper
        if keeper is None:
            return
        batch = Batch()
        for fd in sorted(int(name) for name in os.listdir(f"/proc/{keeper.pid}/fd")):
            batch.call("close", fd)
        # The lowest number, which is free now, is 0.
        batch.call("pidfd_open", root, 0, label="watch the root")
        keeper.run(batch)
        keep = keeper.scratch.data + cpu.PAGE_SIZE
        keeper.call("munmap", keep, keeper.scratch.end - keep, must=False)
        os.pwrite(keeper.memory, _POLLFD.pack(0, _POLLIN, 0), keeper.scratch.data)
        os.pwrite(keeper.memory, cpu.KEEPER, keeper.scratch.start)
        registers = ptrace.registers(keeper.tid)
        registers.leave_kernel()
        registers.aim_at_keeper(keeper.scratch.start, keeper.scratch.data)
        ptrace.set_registers(keeper.tid, registers)

    def outlive(self) -> None:
        """From here on the keeper goes on even if crtool dies."""
        if self._keeper is not None:
            ptrace.set_options(self._keeper.tid, ptrace_abi.O_TRACESYSGOOD)

    def release(self) -> None:
        """Lets the keeper go."""
        if self._keeper is not None:
            ptrace.detach(self._keeper.tid)
            self._keeper.close()
            self._released, self._keeper = self._keeper.pid, None

    def bid_farewell(self) -> None:
        """Waits a moment for the keeper, when the root has ended: it ends as well, unless others are left."""
        deadline = time.monotonic() + _FAREWELL
        with suppress(ChildProcessError):
            while self._released and time.monotonic() < deadline:
                if os.waitpid(self._released, os.WNOHANG)[0]:
                    return
                time.sleep(_PAUSE)


def _mount_proc(first: Newborn) -> None:
    """Mounts /proc; *first*: the first process of a PID namespace."""
    batch = Batch()
    proc, where = batch.path("proc"), batch.path("/proc")
    flags = mount_abi.MS_NOSUID | mount_abi.MS_NODEV | mount_abi.MS_NOEXEC
    mounted = batch.call("mount", proc, where, proc, flags, 0, must=False, label="/proc of the PID namespace")
    first.run(batch)
    if mounted.errno:
        raise EnvironmentDiffers(
            f"the /proc of the new PID namespace cannot be mounted: {os.strerror(mounted.errno)}",
            "run crtool as root; in a container that hides parts of /proc nobody else may mount one",
        )


def _end(puppet: Newborn) -> None:
    end_child(puppet.pid)
    puppet.close()


def _end_keeper(keeper: Newborn) -> None:
    """The same of the keeper. The kernel lets it end when nobody is left in its namespace: neither who was born in the
    moment in which his parent was killed, so that crtool, who traces him, has never heard of him.
    """
    with suppress(ProcessLookupError):
        os.kill(keeper.pid, SIGKILL)
    until = time.monotonic() + _FAREWELL
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(keeper.pid, WALL | os.WNOHANG)
            if pid and os.WIFSIGNALED(status):
                break
            if time.monotonic() > until:
                _wait_for_the_forgotten(keeper.pid)
            time.sleep(_PAUSE)
    keeper.close()


def _wait_for_the_forgotten(keeper: int) -> None:
    """Collects the dead whom crtool traces in PID namespaces below its own: their parents cannot before."""
    depth = len(status_file.later(read(os.getpid(), "status")).ns_pid)
    for pid in processes():
        with suppress(TargetDied, ChildProcessError):
            status = status_file.later(read(pid, "status"))
            if pid != keeper and status.tracer_pid == os.getpid() and len(status.ns_pid) > depth:
                for tid in threads(pid):
                    os.waitpid(tid, WALL | os.WNOHANG)


def _map_users(pid: int) -> None:
    """Gives the user namespace of *pid* the same users and groups that crtool may name: all of its own, or one each."""
    try:
        try:
            maps = {}
            for name in ("uid_map", "gid_map"):
                with open(f"/proc/self/{name}", encoding="ascii") as file:
                    ranges = [line.split() for line in file]
                maps[name] = "".join(f"{first} {first} {count}\n" for first, _, count in ranges)
            _write(pid, maps)
        except PermissionError:
            # Without privilege: oneself, and no other groups than those that one has.
            user, group = os.geteuid(), os.getegid()
            one = {"uid_map": f"{user} {user} 1\n", "setgroups": "deny", "gid_map": f"{group} {group} 1\n"}
            _write(pid, one)
    except OSError as error:
        raise EnvironmentDiffers(
            f"the new user namespace cannot be given its user: {error.strerror}", "run crtool as root"
        ) from None


def _write(pid: int, contents: dict[str, str]) -> None:
    for name, content in contents.items():
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, content.encode("ascii"))
        finally:
            os.close(fd)


def _set_clocks(pid: int, monotonic: int, boottime: int) -> None:
    """Sets the offsets of a new time namespace, in ns (time_namespaces(7)). Nobody may have entered it yet."""
    lines = [
        f"{name} {offset // _NANOSECONDS} {offset % _NANOSECONDS}\n"
        for name, offset in (("monotonic", monotonic), ("boottime", boottime))
    ]
    try:
        _write(pid, {"timens_offsets": "".join(lines)})
    except OSError as error:
        raise EnvironmentDiffers(
            f"the clocks of the new time namespace cannot be set: {error.strerror}", "restart it with --clock host"
        ) from None
