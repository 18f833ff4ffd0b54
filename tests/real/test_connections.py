"""Programs that talk over TCP, with both ends in one tree."""

from __future__ import annotations

import sys
from collections.abc import Callable

from .midwork import PROGRAMS, Program, need, progress

Survives = Callable[[Program], None]


def test_a_thousand_clients(survives: Survives) -> None:
    """An asyncio server and its clients hear every number once and in order."""
    program = (sys.executable, str(PROGRAMS / "many_clients.py"))
    survives(Program("many_clients", program, working=progress(4)))


def test_slow_download(survives: Survives) -> None:
    """A client gets every byte of a file from http.server, though much of it is under way."""
    program = (sys.executable, str(PROGRAMS / "slow_download.py"))
    survives(Program("slow_download", program, working=progress(1)))


@need("socat")
def test_chat_through_socats(survives: Survives) -> None:
    """Every line comes back, once and in order, over a unix socket, TCP, and a pseudoterminal."""
    survives(Program("chat", (sys.executable, str(PROGRAMS / "chat.py")), working=progress(200)))
