"""The CPU that crtool runs on: one module per machine, all of the same shape (:mod:`crtool.arch.x86_64`).

A new CPU is one more module here, one table of numbers in :mod:`crtool.abi`, and one line below.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from crtool.errors import EnvironmentDiffers

if TYPE_CHECKING:
    from crtool.arch import x86_64 as cpu

__all__ = ["cpu"]


def __getattr__(name: str) -> object:
    if name != "cpu":
        raise AttributeError(name)
    machine = os.uname().machine
    if machine == "x86_64":
        from crtool.arch import x86_64 as cpu  # noqa: PLC0415

        globals()["cpu"] = cpu
        return cpu
    raise EnvironmentDiffers(f"crtool does not know the CPU of this machine ({machine})", "run it on x86_64")
