"""A Python that has imported all of crtool and forks a copy of itself for every command: see warm.py.

Started with the number of a socket as its only argument. A request is one packet: a JSON object of *arguments*,
*environment* and *cwd*, and three descriptors to become 0, 1 and 2. The answer is the PID, in decimal. The command is
nobody's child but the subreaper's (the process that runs the tests): whoever forked it ends at once. It has a
session of its own, and no descriptor but the three.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import pkgutil
import socket
import sys
from typing import Any, NoReturn

MOST = 1 << 17
"""Bytes of a request at the most."""


def main() -> None:
    """Serves until the other end is closed."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    import_everything()
    while True:
        packet, descriptors, _, _ = socket.recv_fds(requests, MOST, 3)
        if not packet:
            return
        answer, told = os.pipe()
        between = os.fork()
        if between == 0:
            requests.close()
            os.close(answer)
            if pid := os.fork():
                os.write(told, str(pid).encode())
                os._exit(0)
            become(json.loads(packet), descriptors)
        os.close(told)
        for descriptor in descriptors:
            os.close(descriptor)
        os.waitpid(between, 0)
        requests.send(os.read(answer, 64))
        os.close(answer)


def import_everything() -> None:
    """All modules of crtool, and the libraries that they import when they need them."""
    import crtool

    for module in pkgutil.walk_packages(crtool.__path__, "crtool."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("psutil", "rich.console", "rich.progress", "rich.table", "rich.tree"):
        importlib.import_module(name)
    from crtool.engine.snapshot import Snapshot
    from crtool.image import codec

    codec.prepare(Snapshot)
    gc.collect()
    gc.freeze()


def become(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Is the command from here on."""
    os.setsid()
    os.chdir(request["cwd"])
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as Python itself has made them at its start
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False))  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), line_buffering=True)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["environment"])
    importlib.import_module("crtool.faults").obey_environment()
    sys.argv = ["crtool", *request["arguments"]]
    importlib.import_module("crtool.cli.main").run()
    raise AssertionError("run() ends the process")


if __name__ == "__main__":
    main()
