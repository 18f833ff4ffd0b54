"""``crtool verify``."""

from __future__ import annotations

import json
from dataclasses import replace

from crtool.errors import ImageError, NotFound


def test_an_image_that_is_whole(run, engine):
    ending = run("verify", "a.crt")

    assert ("verify", ("a.crt",), {"parents": (), "deep": False, "keys": None}) == engine.call
    assert 0 == ending.status
    assert "a.crt: whole and unchanged, 3.0 MiB (header, records)" == ending.stdout.splitlines()[0]


def test_deep_tells_of_each_process(run, engine):
    ending = run("verify", "--deep", "a.crt")

    assert ("verify", ("a.crt",), {"parents": (), "deep": True, "keys": None}) == engine.call
    assert "PID 4711: 5.0 MiB of memory, xxh3 0123abcd0123abcd0123abcd0123abcd" == ending.stdout.splitlines()[1]


def test_quiet(run):
    assert (0, "") == (run("verify", "-q", "a.crt").status, run("verify", "-q", "a.crt").stdout)


def test_json(run):
    said = json.loads(run("verify", "--json", "a.crt").stdout)
    memory = [{"pid": 4711, "nbytes": 5 << 20, "xxh3": "0123abcd" * 4}]
    plain = {"encrypted": False, "signed_by": ""}

    assert {"size": 3 << 20, "sections": ["header", "records"], "parents": [], **plain, "memory": memory} == said


def test_the_images_that_it_builds_on(run, engine):
    engine.results["verify"] = replace(engine.results["verify"], parents=("/srv/b.crt",))

    ending = run("verify", "a.crt", "--parent", "/srv", "--parent", "b.crt")

    assert ("verify", ("a.crt",), {"parents": ("/srv", "b.crt"), "deep": False, "keys": None}) == engine.call
    assert "  builds on /srv/b.crt, which is whole too" == ending.stdout.splitlines()[1]


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
