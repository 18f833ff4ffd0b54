"""Whether crtool may have as many descriptors as a restart takes: one for each open file, above all numbers in use."""

from __future__ import annotations

import resource

from crtool.engine.snapshot import FilesRecord
from crtool.errors import EnvironmentDiffers
from crtool.kernel.process import raise_file_limit
from crtool.resources.files.inodes import PathRecord
from crtool.resources.files.regular import RegularRecord

__all__ = ["require_descriptors"]

_OTHERS = 64  # the image and its parents, standard streams, puppets that are being born


def require_descriptors(files: FilesRecord, base: int) -> None:
    """Raises the limit of this process; EnvironmentDiffers if it cannot be raised enough. *base*: the first number."""
    hard = raise_file_limit()
    nameless = sum(not isinstance(record, PathRecord) for record in files.inodes)
    # Pipes have both ends open, and sockets and terminals one more, until the last of them is where it is to be.
    twice = sum(not isinstance(record, RegularRecord) for record in files.descriptions)
    need = base + len(files.descriptions) + nameless + twice + 2 * len(files.pipes) + 4 * len(files.ptys) + _OTHERS
    if hard != resource.RLIM_INFINITY and need > hard:
        raise EnvironmentDiffers(
            f"the image needs {need} open files at once and the hard limit here is {hard}", f"ulimit -Hn {need}"
        )
