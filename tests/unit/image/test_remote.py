"""Images behind URLs, in a store that is in memory."""

from __future__ import annotations

import os
import sys
import uuid

import pytest

from crtool.errors import EnvironmentDiffers, InternalError, UsageError
from crtool.image.trouble import is_url

pytest.importorskip("fsspec")

from crtool.image.remote import RemoteFile, RemoteSource, _trouble


@pytest.mark.parametrize("url", ["s3://b/k", "memory://x", "simplecache::s3://b/k", "git+ssh://h/x", b"gs://b/k"])
def test_urls(url):
    assert is_url(url)


@pytest.mark.parametrize("path", ["x.crt", "/a//b", "a:b", "./s3://b", "://x", "9p://x", "-"])
def test_paths(path):
    assert not is_url(path)


@pytest.fixture
def folder():
    """The name of a folder of its own: what one test leaves in the store, all others of the same process see."""
    import fsspec

    name = uuid.uuid4().hex
    yield name
    store = fsspec.filesystem("memory")
    if store.exists(f"/{name}"):
        store.rm(f"/{name}", recursive=True)


def test_it_appears_when_it_is_whole(folder):
    import fsspec

    store = fsspec.filesystem("memory")
    url, path = f"memory://{folder}/x", f"/{folder}/x"
    file = RemoteFile(url, force=False)
    file.write(b"half")
    assert not store.exists(path)
    file.write(memoryview(b", whole"))
    file.commit()

    assert b"half, whole" == store.cat(path)
    source = RemoteSource(url)
    view = memoryview(bytearray(20))
    assert 11 == source.read_into(view)
    assert b"half, whole" == bytes(view[:11])
    os.close(source.fd)
    with pytest.raises(UsageError, match="exists already"):
        RemoteFile(url, force=False)
    RemoteFile(url, force=True).discard()
    assert [path] == store.find(f"/{folder}")


def test_nobody_else_writes_there(folder):
    file = RemoteFile(f"memory://{folder}/y", force=False)
    assert -1 == file.direct
    with pytest.raises(InternalError):
        file.skip(1)
    with pytest.raises(InternalError):
        file.read_back(memoryview(bytearray(1)), 0)
    file.discard()


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(EnvironmentDiffers, match="not installed") as caught:
        RemoteFile("s3://b/k", force=False)

    assert "pip install 'crtool[remote]'" == caught.value.remedy


def test_passwords_are_not_shown():
    with pytest.raises(UsageError) as caught:
        RemoteFile("nix://me:secret@there/k", force=False)

    assert "nix://there/k" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("error", "writing", "status"),
    [
        (PermissionError("no"), True, 126),
        (PermissionError("no"), False, 121),
        (FileNotFoundError("x"), True, 126),
        (FileNotFoundError("x"), False, 127),
        (ConnectionRefusedError("x"), False, 126),
        (TimeoutError("x"), True, 126),
        (OSError("odd"), True, 126),
        (ValueError("odd"), False, 123),
    ],
)
def test_each_trouble_has_its_status(error, writing, status):
    assert status == _trouble("s3://b/k", error, writing=writing).status


def test_files_of_this_machine_are_no_store(tmp_path):
    """They would have mode 0644."""
    with pytest.raises(UsageError, match="is a file of this machine"):
        RemoteFile(f"file://{tmp_path}/x.crt", force=False)
    assert [] == list(tmp_path.iterdir())
