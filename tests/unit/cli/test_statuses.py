"""The table of exit statuses."""

from __future__ import annotations

from crtool import errors
from crtool.cli.statuses import table


def test_the_statuses_are_those_of_the_design():
    assert ["0", *map(str, range(120, 128)), "128+N"] == [row.status for row in table()]


def test_every_error_is_in_the_table_with_its_status():
    found = {name: int(row.status) for row in table() for name in row.errors}
    expected = {
        name: getattr(errors, name).status
        for name in errors.__all__
        if isinstance(getattr(errors, name), type) and issubclass(getattr(errors, name), errors.CrtoolError)
    }
    del expected["CrtoolError"]

    assert expected == found


def test_every_row_says_something():
    assert all(row.meaning for row in table())
