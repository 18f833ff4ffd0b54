"""The sqlite3 shell inside a long transaction."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .midwork import PROGRAMS, Program, grown, need

Survives = Callable[[Program], None]


def script(folder: Path) -> None:
    shutil.copy(PROGRAMS / "transaction.sql", folder)


@need("sqlite3")
@pytest.mark.parametrize("database", ["work.db", ":memory:"])
def test_transaction(survives: Survives, database: str) -> None:
    """The transaction commits what an uninterrupted one commits; the database file is the same, byte for byte."""
    survives(
        Program(
            f"sqlite3 {database}",
            ("sqlite3", database),
            prepare=script,
            stdin="transaction.sql",
            # The first SELECT of the transaction has answered; its second half is still to come.
            working=grown("out", 10),
            results=("work.db",) if database == "work.db" else (),
        )
    )
