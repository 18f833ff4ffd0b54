"""PostgreSQL with a transaction open in a psql of the same tree."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .midwork import PROGRAMS
from .test_servers import Server, until

EXPECTED = """
open|20000|-200010000
meanwhile 10000
again|20000|-200010000|t
locks|1
20001|-200010000
indexes|t
corrupt|0
sums|t
server 0
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of the user postgres, not below one that he may not enter, for a path of sockets that is short."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    shutil.chown(folder, "postgres")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be the user postgres")
@pytest.mark.skipif(not Path("/usr/lib/postgresql").exists(), reason="PostgreSQL is not installed")
def test_a_transaction_goes_on(home: Path, tmp_path: Path) -> None:
    """Twice killed and restarted: the transaction is still open, commits, and nothing in the database is damaged."""
    server = Server(tmp_path, [sys.executable, str(PROGRAMS / "database.py"), str(home)])
    try:
        until(lambda: (tmp_path / "open").exists() or server.process.poll() is not None)
        assert server.process.poll() is None, server.log()
        server.checkpoint("--sysvipc")
        for _ in range(2):
            server.again("--sysvipc")
        (tmp_path / "go").touch()
        until(lambda: server.process.poll() is not None)
        assert 0 == server.process.poll(), server.log() + (home / "log").read_text()[-2000:]
        assert EXPECTED == (tmp_path / "result").read_text()
    finally:
        if server.process.poll() is None:
            os.kill(server.root, 9)
        server.end()
