"""``crtool verify``."""

from __future__ import annotations

import json

from crtool.errors import ImageError, NotFound


def test_an_image_that_is_whole(run, engine):
    ending = run("verify", "a.crt")

    assert ("verify", ("a.crt",), {}) == engine.call
    assert 0 == ending.status
    assert "a.crt: whole and unchanged, 3.0 MiB (header, records)\n" == ending.stdout


def test_quiet(run):
    assert (0, "") == (run("verify", "-q", "a.crt").status, run("verify", "-q", "a.crt").stdout)


def test_json(run):
    assert {"size": 3 << 20, "sections": ["header", "records"]} == json.loads(run("verify", "--json", "a.crt").stdout)


def test_an_image_that_is_damaged(run, engine):
    engine.error = ImageError("a.crt: damaged: trailer", "use another copy")

    ending = run("verify", "a.crt")

    assert 123 == ending.status
    assert ("", "crtool: a.crt: damaged: trailer\n  use another copy\n") == (ending.stdout, ending.stderr)


def test_an_image_that_is_not_there(run, engine):
    engine.error = NotFound("a.crt: no such image")

    ending = run("verify", "a.crt")

    assert 127 == ending.status
    assert "crtool: a.crt: no such image\n" == ending.stderr
