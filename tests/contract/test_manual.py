"""Options, help, manual and documents agree."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from crtool.cli.group import VERBS, Verb
from crtool.cli.main import cli

from . import ROOT

CONTEXT = click.Context(cli, info_name="crtool", **cli.context_settings)
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]


def verb(name: str) -> Verb:
    found = cli.get_command(CONTEXT, name)
    assert isinstance(found, Verb)
    return found


def context_of(name: str) -> click.Context:
    return click.Context(verb(name), info_name=name, parent=CONTEXT)


def options_of(name: str) -> list[click.Option]:
    return [option for option in verb(name).get_params(context_of(name)) if isinstance(option, click.Option)]


def help_of(name: str, *, all_of_it: bool = False) -> str:
    done = CliRunner().invoke(
        cli,
        [*name.split(), "--help-all" if all_of_it and verb(name).usual is not None else "--help"],
        terminal_width=80,
    )
    assert 0 == done.exit_code
    return done.output


def test_what_is_generated_is_current():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "generate.py", "--check"], capture_output=True, text=True)

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("name", VERBS)
def test_every_option_is_in_help_and_manual(name):
    text = help_of(name, all_of_it=True)
    manual = (ROOT / "man" / f"crtool-{name}.1").read_text(encoding="utf-8").replace("\\-", "-")

    for option in options_of(name):
        assert not option.hidden
        assert option.help
        for spelling in option.opts:
            assert re.search(rf"(?<!\S){re.escape(spelling)}(?![\w-])", text), spelling
            assert f"\\fB{spelling}\\fR" in manual


@pytest.mark.parametrize("name", ["", *VERBS])
def test_help_fits_a_screen(name):
    lines = help_of(name).splitlines()

    assert 24 >= len(lines)
    assert 80 >= max(map(len, lines))
    assert name == "" or any(example.command in line for example in verb(name).examples for line in lines)


@pytest.mark.parametrize("name", [name for name in VERBS if verb(name).usual is not None])
def test_help_leaves_out_what_is_rare_and_says_where_it_is(name):
    known = {spelling for option in options_of(name) for spelling in option.opts}
    usual = verb(name).usual

    assert usual <= known
    assert "--help-all" in help_of(name)
    left_out = {option.opts[-1] for option in options_of(name)} - set(re.findall(r"--[a-z-]+", help_of(name)))
    assert left_out
    assert not left_out & usual


@pytest.mark.parametrize("name", VERBS)
def test_every_option_means_one_thing(name):
    spellings = [spelling for option in options_of(name) for spelling in option.opts]

    assert len(spellings) == len(set(spellings))


def test_an_option_means_the_same_for_every_verb():
    meanings: dict[str, set[str]] = {}
    for name in VERBS:
        for option in options_of(name):
            for spelling in option.opts:
                if spelling.startswith("--"):
                    meanings.setdefault(spelling, set()).add(" ".join(sorted(option.opts)))

    assert {} == {spelling: found for spelling, found in meanings.items() if len(found) > 1}


@pytest.mark.parametrize("name", VERBS)
def test_the_examples_are_command_lines_of_the_verb(name):
    assert verb(name).examples
    for example in verb(name).examples:
        commands = list(command_lines(example.command))
        assert f"crtool {name}" in example.command
        assert commands
        for words in commands:
            check(words)


@pytest.mark.parametrize("page", PAGES)
def test_command_lines_in_documents_are_understood(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```(?:sh|console|)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            for words in command_lines(line):
                check(words)


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / page).parent / target).exists(), target


def command_lines(line: str):
    """The words of every call of crtool in a line of shell."""
    line = re.sub(r"^\s*(\$|#)? *", "", line)
    line = re.sub(r"<\([^)]*\)", "/dev/fd/63", line)  # a process substitution is a file
    for part in re.split(r"\||&&|;|&(?!\d)", line):
        words = shlex.split(part, comments=True) if part.count('"') % 2 == 0 and part.count("'") % 2 == 0 else []
        while "crtool" in words:
            words = words[words.index("crtool") + 1 :]
            if words and not (words[0] in VERBS or words[0].startswith("-") or words[0] in ("dump", "restore")):
                continue  # a word of a sentence
            yield words


def check(words: list[str]) -> None:
    """Lets click parse a command line."""
    words = [word for word in words if not re.fullmatch(r"\d?>.*|<.*", word)]
    context = cli.make_context("crtool", list(words), resilient_parsing=not words)
    with context:
        if words and not words[0].startswith("-"):
            name, command, rest = cli.resolve_command(context, list(words))
            assert command is not None
            # Placeholders such as PID are no numbers, which is not what this is about.
            rest = ["4711" if word in ("PID", "$PID", "$!") else word for word in rest]
            try:
                command.make_context(name, rest, parent=context)
            except click.exceptions.Exit as end:  # --help
                assert 0 == end.exit_code
