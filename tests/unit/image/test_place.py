"""What a pipe and a socket tell of their reader."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from crtool.errors import CrtoolError, EnvironmentDiffers, TimeoutExpired
from crtool.image.place import NewFile, Pipe, Place
from crtool.image.trouble import cannot_read, cannot_write

Ends = tuple[int, int]


def pipe() -> Ends:
    return os.pipe()


def pair() -> Ends:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def connection() -> Ends:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        return server.accept()[0].detach(), theirs.detach()


def nothing() -> None:
    """Nobody is in a hurry."""


@pytest.fixture(params=[pipe, pair])
def ends(request: pytest.FixtureRequest) -> Ends:
    make: Callable[[], Ends] = request.param
    return make()


def full(writing: int) -> Pipe:
    place = Pipe(writing)
    os.close(writing)
    place.write(b"image")
    return place


def test_it_waits_for_the_reader(ends: Ends) -> None:
    reading, writing = ends
    place = full(writing)
    waited = threading.Event()
    done = threading.Thread(target=lambda: (waited.wait(10), os.read(reading, 100)))
    done.start()
    place.hand_over(waited.set)
    done.join()

    assert waited.is_set()
    place.commit()
    assert b"" == os.read(reading, 1)
    os.close(reading)


def test_a_reader_who_goes_has_not_taken_it(ends: Ends) -> None:
    reading, writing = ends
    place = full(writing)
    with pytest.raises(EnvironmentDiffers, match="the reader of the pipe has ended"):
        place.hand_over(lambda: os.close(reading))
    place.discard()


def test_it_does_not_wait_for_ever(ends: Ends) -> None:
    reading, writing = ends
    place = full(writing)

    def late() -> None:
        raise TimeoutExpired("late", "")

    with pytest.raises(TimeoutExpired):
        place.hand_over(late)
    place.discard()
    os.close(reading)


def test_of_a_connection_the_other_machine_has_it() -> None:
    reading, writing = connection()
    place = full(writing)
    place.hand_over(nothing)
    place.commit()

    assert b"image" == os.read(reading, 100)
    os.close(reading)


def test_a_file_is_not_waited_for(tmp_path: Path) -> None:
    def hurry() -> None:
        raise AssertionError

    with open(tmp_path / "stream", "wb") as stream:
        places: list[Place] = [NewFile(tmp_path / "image", force=False), Pipe(stream.fileno())]
    with open(os.devnull, "wb") as null:
        places.append(Pipe(null.fileno()))
    for place in places:
        place.write(b"image")
        place.hand_over(hurry)
        place.commit()


@pytest.mark.parametrize("told", [cannot_read, cannot_write])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_the_machine_lacks_is_no_fault_of_the_place(
    told: Callable[[str, OSError], CrtoolError], number: int
) -> None:
    error = told("name", OSError(number, os.strerror(number)))

    assert (126, True) == (error.status, error.message.startswith("name: "))
    assert error.remedy is not None
    assert "-o" not in error.remedy
    assert "copy" not in error.remedy
