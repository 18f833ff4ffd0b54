"""Stand-ins: short-lived children that share crtool's descriptors and make calls in somebody's place.

The kernel notes in a socket who has made it: PID, user and groups of the process that calls socketpair(2), listen(2) or
connect(2). A stand-in has the PID of that process for the moment, before the process itself is born, or long
after it has ended.
"""

from __future__ import annotations

import errno
import marshal
import os
from collections.abc import Callable, Sequence

from crtool.abi.clone import CLONE_FILES
from crtool.abi.signals import SIGCHLD
from crtool.kernel.clone import clone3_call
from crtool.kernel.eclone_request import EcloneRequest
from crtool.kernel.fork import fork_by

__all__ = ["stand_in"]

_WALL = 0x40000000


def stand_in(
    work: Callable[[], Sequence[int]],
    pid: int = 0,
    uid: int = -1,
    gid: int = -1,
    groups: Sequence[int] | None = None,
) -> Sequence[int]:
    """What *work* returns, numbers, when a child does it that has number *pid* (any if 0), user, group and *groups*.

    The child shares the descriptors: what it opens is open here. Raises what *work* raises as OSError; FileExistsError
    if the PID is taken, PermissionError if it may not be chosen.
    """
    answer = os.memfd_create("crtool")
    try:
        request = EcloneRequest.of_vector(CLONE_FILES, SIGCHLD, (pid,) if pid else ())
        with clone3_call(request.clone3()) as call:
            child = fork_by(call)
        if child == 0:
            _work(answer, work, uid, gid, groups)
        os.waitpid(child, _WALL)
        os.lseek(answer, 0, os.SEEK_SET)
        said = os.read(answer, 1 << 24)
        if not said:
            raise OSError(errno.ECHILD, "a stand-in has died")
        failure, text, found = marshal.loads(said)
        if failure:
            raise OSError(failure, text)
        return tuple(found)
    finally:
        os.close(answer)


def _work(
    answer: int, work: Callable[[], Sequence[int]], uid: int, gid: int, groups: Sequence[int] | None
) -> None:
    """In the child: never returns."""
    try:
        try:
            if groups is not None:
                os.setgroups(groups)
            if gid >= 0:
                os.setegid(gid)
            if uid >= 0:
                os.seteuid(uid)
            said = (0, "", tuple(work()))
        except OSError as error:
            said = (error.errno or errno.EIO, str(error), ())
        os.write(answer, marshal.dumps(said))
    finally:
        os._exit(0)
