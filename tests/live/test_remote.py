"""Images in an object store, by a server that speaks Amazon's protocol."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from .harness.processes import Deadline, end, reap_all

pytestmark = pytest.mark.skipif(
    any(__import__("importlib.util").util.find_spec(name) is None for name in ("s3fs", "moto", "flask_cors")),
    reason="s3fs, moto, flask or flask-cors is not installed",
)

# Two parts of an upload, that no compression makes fewer.
_PROGRAM = """
import os, signal, hashlib
memory = os.urandom(36 << 20)
before = hashlib.sha256(memory).digest()
signal.signal(signal.SIGTERM, lambda *_: os._exit(7 if hashlib.sha256(memory).digest() == before else 1))
print("ready", flush=True)
while True: signal.pause()
"""


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def environment(store: str) -> dict[str, str]:
    return {
        **os.environ, "AWS_ENDPOINT_URL": store, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


@pytest.fixture
def bucket(store: str, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("_", "-").partition("[")[0][:60]
    send(f"{store}/{name}", "PUT", b"")
    return name


def send(url: str, method: str, data: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream"}  # urllib's own would have it parsed as a form
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method, headers=headers)) as answer:
        assert 200 == answer.status


def crtool(environment: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crtool", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=120, check=False, env=dict(environment),
    )  # fmt: skip


def keys(store: str, bucket: str) -> bytes:
    with urllib.request.urlopen(f"{store}/{bucket}") as answer:
        return bytes(answer.read())


def uploads(store: str, bucket: str) -> bytes:
    with urllib.request.urlopen(f"{store}/{bucket}?uploads") as answer:
        return bytes(answer.read())


@pytest.fixture
def target(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with open(tmp_path / "out", "wb") as out:
        process = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   cwd=tmp_path, start_new_session=True)  # fmt: skip
    Deadline(30, "ready").wait_until(lambda: (tmp_path / "out").read_text() == "ready\n")
    yield process
    end({process.pid})
    process.wait()


def test_an_image_goes_there_and_comes_back(
    store: str, bucket: str, environment: dict[str, str], target: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    url = f"s3://{bucket}/folder/x.crt"
    done = crtool(environment, "checkpoint", target.pid, "-o", url)

    assert 0 == done.returncode, done.stderr
    assert f"PID {target.pid} saved and left running: {url}, " in done.stdout
    assert b"<Key>folder/x.crt</Key>" in keys(store, bucket)
    assert b"<UploadId>" not in uploads(store, bucket)

    again = crtool(environment, "checkpoint", target.pid, "-k", "-o", url)
    assert (120, f"crtool: {url}: exists already\n") == (again.returncode, again.stderr[: again.stderr.index("\n") + 1])
    forced = crtool(environment, "checkpoint", target.pid, "-kf", "-o", url)
    assert 0 == forced.returncode, forced.stderr
    reap_all({target.pid})

    assert f"{url}: whole and unchanged" in crtool(environment, "verify", url).stdout
    assert f"root PID {target.pid}" in crtool(environment, "show", url).stdout
    core = crtool(environment, "core", url, "-o", tmp_path / "core")
    assert (0, True) == (core.returncode, core.stdout.startswith(f"{tmp_path}/core: PID {target.pid}, ")), core.stderr
    back = crtool(environment, "restart", "-d", url)
    assert 0 == back.returncode, back.stderr
    os.kill(target.pid, signal.SIGTERM)
    assert 7 == os.waitstatus_to_exitcode(os.waitpid(target.pid, 0)[1])


def test_what_goes_wrong_is_named(
    store: str, bucket: str, environment: dict[str, str], target: subprocess.Popen[bytes]
) -> None:
    nobody = {**environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    for status, cause, where, arguments in (
        (126, "no such bucket or folder", environment, ("checkpoint", target.pid, "-k", "-o", "s3://nix/x.crt")),
        (126, "cannot be reached", nobody, ("checkpoint", target.pid, "-k", "-o", f"s3://{bucket}/x.crt")),
        (126, "cannot be reached", nobody, ("restart", f"s3://{bucket}/x.crt")),
        (127, "no such image", environment, ("restart", f"s3://{bucket}/x.crt")),
        (127, "no such image", environment, ("show", "s3://nix/x.crt")),
        (120, "an image needs a name in the bucket", environment, ("checkpoint", target.pid, "-o", f"s3://{bucket}")),
        (120, "Protocol not known: nix", environment, ("checkpoint", target.pid, "-o", "nix://there/x.crt")),
    ):
        done = crtool(where, *arguments)
        assert (status, True) == (done.returncode, cause in done.stderr), done.stderr
        assert 2 == len(done.stderr.splitlines()), done.stderr
    assert target.poll() is None
    assert b"<Key>" not in keys(store, bucket)


def test_no_permission(store: str, bucket: str, environment: dict[str, str], target: subprocess.Popen[bytes]) -> None:
    def free(actions: bytes) -> None:
        send(f"{store}/moto-api/reset-auth", "POST", actions)

    free(b"0")
    try:
        written = crtool(environment, "checkpoint", target.pid, "-k", "-o", f"s3://{bucket}/x.crt")
        read = crtool(environment, "restart", f"s3://{bucket}/x.crt")
    finally:
        free(b"inf")

    assert (126, True) == (written.returncode, "no permission to write there" in written.stderr), written.stderr
    assert (121, True) == (read.returncode, "no permission to read there" in read.stderr), read.stderr
    assert target.poll() is None


_HALF = """
import sys, os
from crtool.image.remote import RemoteFile
file = RemoteFile(sys.argv[1], force=False)
for _ in range(40):
    file.write(memoryview(bytes(1 << 20)))
if sys.argv[2] == "killed":
    os.kill(os.getpid(), 9)
file.discard()
"""


@pytest.mark.parametrize("how", ["killed", "discarded"])
def test_an_upload_that_broke_off_is_no_image(
    store: str, bucket: str, environment: dict[str, str], how: str
) -> None:
    url = f"s3://{bucket}/{how}.crt"
    done = subprocess.run([sys.executable, "-c", _HALF, url, how], env=environment, timeout=60, check=False)

    assert {"killed": -9, "discarded": 0}[how] == done.returncode
    assert b"<Key>" not in keys(store, bucket)
    # Whoever is killed deletes nothing; what is left is invisible.
    assert (how == "killed") == (how.encode() in uploads(store, bucket))
    assert 127 == crtool(environment, "verify", url).returncode


def test_an_image_that_is_cut_there_is_damaged(
    store: str, bucket: str, environment: dict[str, str], target: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    whole = tmp_path / "x.crt"
    assert 0 == crtool(environment, "checkpoint", target.pid, "-o", whole).returncode
    data = whole.read_bytes()[: 20 << 20]
    send(f"{store}/{bucket}/x.crt", "PUT", data)
    done = crtool(environment, "restart", "--pidns", f"s3://{bucket}/x.crt")

    assert 123 == done.returncode
    assert f"s3://{bucket}/x.crt: the image is damaged: data, " in done.stderr
