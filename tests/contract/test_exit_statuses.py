"""The exit statuses: one table in the code, the same in manual and documents."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import crtool
from crtool.cli import statuses
from crtool.cli.group import VERBS
from crtool.errors import CrtoolError

from . import ROOT

FAMILIES = [error for error in CrtoolError.__subclasses__() if error.__module__ == "crtool.errors"]


def test_each_family_of_errors_has_a_status_of_its_own():
    found = [error.status for error in FAMILIES]

    assert len(found) == len(set(found))
    assert all(120 <= status <= 127 for status in found)


def test_no_error_has_another_status_than_its_family():
    def check(error):
        for below in error.__subclasses__():
            assert error.status == below.status
            check(below)

    for family in FAMILIES:
        check(family)


def test_errors_elsewhere_have_a_status_of_the_table():
    for module in pkgutil.walk_packages(crtool.__path__, "crtool."):
        if module.name != "crtool.__main__":
            importlib.import_module(module.name)

    assert {error.status for error in CrtoolError.__subclasses__()} <= {error.status for error in FAMILIES}


def test_the_page_has_them():
    page = (ROOT / "docs" / "exit-statuses.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([0-9N+]+) \| (.*?) \|", page, re.MULTILINE)

    answers = [row for rows in statuses.ANSWERS.values() for row in rows]
    assert [(row.status, row.meaning) for row in (*statuses.table(), *answers)] == rows


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_page_of_a_verb_has_what_it_answers(verb):
    """Whoever ends with 1 or 2 without an error says in the manual what that means."""
    source = (ROOT / "crtool" / "cli" / f"{verb}.py").read_text(encoding="utf-8")
    manual = (ROOT / "man" / f"crtool-{verb}.1").read_text(encoding="utf-8")
    rows = statuses.ANSWERS.get(verb, statuses.table())

    assert (verb in statuses.ANSWERS) == ("return 1 if " in source)
    assert all(f"\\fB{row.status}\\fR\n" + row.meaning.replace("-", "\\-") in manual for row in rows)


def test_the_manual_has_them():
    manual = (ROOT / "man" / "crtool.1").read_text(encoding="utf-8").split(".SH EXIT STATUS\n")[1].split(".SH ")[0]
    rows = re.findall(r"^\\fB(.*)\\fR\n(.*)$", manual, re.MULTILINE)

    assert [(row.status, row.meaning.replace("-", "\\-")) for row in statuses.table()] == rows


def test_the_readme_has_them():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([0-9N+]+) \| (.*?) \|$", text, re.MULTILINE)

    assert [(row.status, row.meaning) for row in statuses.table()] == rows
