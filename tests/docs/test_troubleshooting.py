"""The page on troubleshooting speaks of messages that are in the source."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


MESSAGES = _load("messages").messages()
TEXT = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"\*\*`([^`]+)`", TEXT)


def test_messages_are_explained():
    assert len(QUOTED) > 20


@pytest.mark.parametrize("quote", QUOTED)
def test_what_is_explained_can_be_said(quote: str):
    """Two words that mean something, or else all of a message: less than that is found everywhere."""
    pieces = [piece.strip() for piece in quote.split("…") if piece.strip()]
    causes = [message.cause for message in MESSAGES]
    telling = re.findall(r"[A-Za-z]{4,}", " ".join(pieces))

    assert quote in causes or 2 <= len(telling)
    assert [cause for cause in causes if re.search(".*".join(map(re.escape, pieces)), cause)], quote


def test_each_status_has_messages():
    assert {120, 121, 122, 123, 124, 125, 126, 127} == {message.status for message in MESSAGES}


def test_messages_are_found_however_they_are_written():
    causes = {message.cause for message in MESSAGES}

    assert "…: not an image of crtool" in causes  # in the call itself
    assert "PID … is now …" in causes  # by the class, in words of a function
    assert "PID … is an ancestor of crtool" in causes  # one of a few words
    assert "a shared mapping of a device" not in causes
