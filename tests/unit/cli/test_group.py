"""The verbs, and how they are found."""

from __future__ import annotations

import click
import pytest

from crtool.cli.group import VERBS, Verb
from crtool.cli.main import cli


@pytest.fixture
def context():
    return click.Context(cli)


@pytest.mark.parametrize("name", VERBS)
def test_what_the_group_knows_is_what_the_verb_says(context, name):
    verb = cli.get_command(context, name)

    assert isinstance(verb, Verb)
    assert name == verb.name
    assert VERBS[name].help == verb.get_short_help_str(limit=1000)


@pytest.mark.parametrize(("alias", "name"), [("dump", "checkpoint"), ("restore", "restart")])
def test_aliases(context, alias, name):
    assert cli.get_command(context, name) is cli.get_command(context, alias)


@pytest.mark.parametrize("name", VERBS)
def test_help_of_a_verb_has_examples(run, name):
    ending = run(name, "-h")

    assert 0 == ending.status
    assert f"crtool {name}" in ending.stdout.split("Examples:")[1]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("chekpoint", "checkpoint"), ("dum", "dump"), ("restor", "restore"), ("verfy", "verify"), ("shwo", "show")],
)
def test_a_verb_that_is_nearly_right_is_suggested(run, typed, meant):
    ending = run(typed, "4711")

    assert 120 == ending.status
    cause, remedy = ending.stderr.splitlines()
    assert f"crtool: no such verb: {typed}" == cause
    assert "did you mean" in remedy
    assert meant in remedy


def test_a_verb_that_is_like_no_other_gets_all_of_them(run):
    ending = run("zzz")

    assert 120 == ending.status
    assert all((name in ending.stderr) == (name != "receive") for name in VERBS)  # which nobody types
