"""``crtool checkpoint``."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace

import pytest

from crtool.cli.ending import finish
from crtool.engine.checkpoint import checkpoint
from crtool.engine.output import default_name
from crtool.errors import UsageError

from .engine import CHECKPOINT, child


def test_by_default_the_target_goes_on_and_the_engine_names_the_image(run, engine):
    ending = run("checkpoint", "4711")

    assert 0 == ending.status
    expected = {"leave": "running", "force": False, "timeout": None, "live": "auto", "compress": "none", "lock": None}
    expected |= {"stdio": "refuse", "tcp": "keep", "unix": "refuse", "files": "names", "sysvipc": False}
    expected |= {"exclude": "none", "parent": None, "done": finish}
    assert ("checkpoint", (4711, None), expected) == engine.call


def test_the_closing_line_says_what_happened(run):
    ending = run("checkpoint", "4711")

    path = os.path.abspath("web.crt")
    expected = f"PID 4711 and 2 more saved and left running: {path}, 5.0 MiB, 1,234 pages saved, "
    expected += "99 skipped, frozen for 4.2 ms\n"
    assert expected == ending.stdout
    assert "" == ending.stderr


@pytest.mark.parametrize(
    ("left", "words"), [("running", "left running"), ("stopped", "left stopped"), ("killed", "killed")]
)
def test_the_closing_line_says_which_of_the_three(run, engine, left, words):
    engine.results["checkpoint"] = replace(CHECKPOINT, left=left, processes=1)

    assert run("checkpoint", "4711").stdout.startswith(f"PID 4711 saved and {words}: ")


@pytest.mark.parametrize(
    ("option", "leave"),
    [
        ("-k", "killed"),
        ("--kill", "killed"),
        ("-R", "running"),
        ("--leave-running", "running"),
        ("-s", "stopped"),
        ("--leave-stopped", "stopped"),
    ],
)
def test_what_becomes_of_the_target(run, engine, option, leave):
    run("checkpoint", "4711", option)

    assert leave == engine.call[2]["leave"]


def test_a_wrong_word_is_found_before_anything_is_looked_at():
    with pytest.raises(UsageError, match="no such compression"):
        checkpoint(2**30, compress="nix")


def test_each_image_of_a_second_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form: "20270101T000000")
    names = []
    for _ in range(3):
        names.append(default_name(os.getpid()))
        open(names[-1], "x").close()

    assert ["20270101T000000.crt", "20270101T000000-2.crt", "20270101T000000-3.crt"] == [
        name.partition(f"-{os.getpid()}-")[2] for name in names
    ]


def test_an_image_without_o(run):
    ending = run("checkpoint", "4711", "x.crt")

    assert 120 == ending.status
    assert "crtool: got unexpected extra argument (x.crt)\n  the image is named with -o, as in: " in ending.stderr


@pytest.mark.parametrize("options", [("-k", "-R"), ("-k", "-s"), ("-R", "-s"), ("-k", "-R", "-s")])
def test_only_one_thing_can_become_of_it(run, engine, options):
    ending = run("checkpoint", "4711", *options)

    assert 120 == ending.status
    assert "exclude each other" in ending.stderr
    assert not engine.calls


def test_force_and_output(run, engine):
    run("dump", "4711", "-o", "a.crt", "-f")

    assert (4711, "a.crt") == engine.call[1]
    assert engine.call[2]["force"]


def test_a_folder_and_a_name(run, engine, tmp_path):
    run("dump", "-t", "4711", "-D", str(tmp_path), "-o", "a.crt")

    assert (4711, str(tmp_path / "a.crt")) == engine.call[1]


def test_an_absolute_name_needs_no_folder(run, engine, tmp_path):
    run("dump", "-t", "4711", "-D", str(tmp_path), "-o", "/elsewhere/a.crt")

    assert (4711, "/elsewhere/a.crt") == engine.call[1]


def test_a_folder_and_the_default_name(run, engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()

    ending = run("checkpoint", "4711", "-D", "images")

    assert (4711, None) == engine.call[1]
    assert f": {tmp_path / 'images' / 'web.crt'}, " in ending.stdout


def test_a_folder_that_is_not_there(run, engine, tmp_path):
    ending = run("checkpoint", "4711", "-D", str(tmp_path / "none"))

    assert 126 == ending.status
    assert f"crtool: {tmp_path / 'none'}: No such file or directory\n" in ending.stderr
    assert not engine.calls


def test_without_a_process_there_is_nothing_to_do(run, engine):
    ending = run("checkpoint")

    assert 120 == ending.status
    assert ending.stderr.startswith("crtool: which process is to be saved?\n  ")
    assert not engine.calls


def test_json(run):
    found = json.loads(run("checkpoint", "4711", "--json").stdout)

    assert "web.crt" == found["image"]
    assert 0.0042 == found["frozen_seconds"]
    assert {"freeze": 0.001, "memory": 0.003} == found["stages"]


def test_quiet_says_nothing_but_warnings(run, engine):
    engine.results["checkpoint"] = replace(CHECKPOINT, warnings=("a socket\nwas lost",))

    ending = run("checkpoint", "4711", "-q")

    assert "" == ending.stdout
    assert "crtool: warning: a socket\\nwas lost\n" == ending.stderr


def test_verbose_says_how_long_each_stage_took(run):
    ending = run("checkpoint", "4711", "-v")

    stages = "freeze      1.0 ms  stopped every thread of every process\n"
    stages += "memory      3.0 ms  wrote the records and the memory\n"
    pages = "pages      1,350 scanned: 1,234 written, 99 skipped, 42 of them zero, 17 shared\n"
    assert f"{stages}{pages}written    2.0 GiB a second, 3 processes forked\n" == ending.stderr


def test_a_parent_may_be_called_by_a_url(run, engine, tmp_path):
    """Which the engine refuses, by the name that was given."""
    run("checkpoint", "4711", "--parent", "s3://bucket/b.crt", "-D", str(tmp_path))

    assert "s3://bucket/b.crt" == engine.call[2]["parent"]


def test_what_the_parent_has_is_told(run, engine, tmp_path):
    engine.results["checkpoint"] = replace(engine.results["checkpoint"], pages_same=5678)

    ending = run("checkpoint", "4711", "-v", "--parent", "b.crt", "-D", str(tmp_path))

    assert str(tmp_path / "b.crt") == engine.call[2]["parent"]
    assert ", 1,234 pages saved, 5,678 in the parent, 99 skipped, frozen" in ending.stdout
    assert "shared; 5,678 in the parent\n" in ending.stderr


def test_a_name_cannot_give_orders_to_the_terminal(run, engine):
    engine.results["checkpoint"] = replace(CHECKPOINT, image="\x1b[31m.crt")

    assert "\x1b" not in run("checkpoint", "4711").stdout


def test_a_stream_goes_to_standard_output_and_the_closing_line_does_not():
    code = """
import os
def checkpoint(pid, output, **options):
    os.write(output, b"image of %d" % pid)
    return crtool.CheckpointResult(None, 2, pid, 1, 1, 1, 0, 0.001, 0.1, "running")
crtool.checkpoint = checkpoint
"""
    process = child(code, "checkpoint", "4711", "-o", "-")
    out, err = process.communicate(timeout=30)

    assert 0 == process.returncode
    assert "image of 4711" == out
    assert "PID 4711 saved and left running: the stream, 2 B, 1 page saved, 0 skipped, frozen for 1.0 ms\n" == err


def test_a_stream_leaves_no_room_for_json(run, engine):
    ending = run("checkpoint", "4711", "-o", "-", "--json")

    assert 120 == ending.status
    assert "both the image and --json want standard output" in ending.stderr
    assert not engine.calls


def test_no_image_goes_to_a_terminal(run, engine, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    ending = run("checkpoint", "4711", "-o", "-")

    assert 120 == ending.status
    assert "the image would go to the terminal" in ending.stderr
    assert not engine.calls
