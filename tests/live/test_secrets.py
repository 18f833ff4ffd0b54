"""Encrypted and signed images of living processes, and that nothing of them is on a disk in plain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from crtool.engine import store
from crtool.engine.checkpoint import checkpoint
from crtool.engine.diff import diff
from crtool.engine.references import read_snapshot
from crtool.engine.restart import restart
from crtool.engine.squash import squash
from crtool.errors import ImageError, TargetError, UsageError
from crtool.image.age import CHUNK, SEALED_CHUNK, TAG
from crtool.image.keys import lock, unlock
from crtool.image.reader import ImageReader

from .harness.processes import Deadline
from .screen import Screen
from .victim import changed, victim

CRTOOL = [sys.executable, "-m", "crtool"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys made by others' tools: key and to of age, sign and sign.pub of OpenSSH."""
    folder = tmp_path_factory.mktemp("keys")
    subprocess.run(["age-keygen", "-o", folder / "key"], check=True, capture_output=True)
    subprocess.run(["age-keygen", "-y", "-o", folder / "to", folder / "key"], check=True, capture_output=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "sign"], check=True)
    (folder / "words").write_text("three short words\n")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "of the key", "-f", folder / "locked"], check=True)
    (folder / "keywords").write_text("of the key\n")
    return folder


def run(*words: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*CRTOOL, *map(str, words)], capture_output=True, **options)  # type: ignore[call-overload,no-any-return]


def test_a_process_comes_back_from_an_encrypted_and_signed_image(keys: Path, tmp_path: Path) -> None:
    plain, sealed, after = (str(tmp_path / name) for name in ("plain.crt", "sealed.crt", "after.crt"))
    ours = unlock([keys / "key"], require_signature=keys / "sign.pub")
    with victim() as pid:
        checkpoint(pid, plain)
        checkpoint(pid, sealed, lock=lock([keys / "to"], sign=keys / "sign"), leave="killed")
        os.waitpid(pid, 0)
        (tmp_path / "decrypted.crt").write_bytes(
            subprocess.run(["age", "-d", "-i", keys / "key", sealed], check=True, capture_output=True).stdout
        )
        with pytest.raises(TargetError):
            restart(sealed, detach=True)
        with pytest.raises(ImageError, match="not signed"):
            restart(plain, detach=True, keys=ours)
        back = restart(sealed, detach=True, keys=ours).pid
        checkpoint(back, after)

    assert [] == changed(plain, str(tmp_path / "decrypted.crt")) == changed(plain, after)


def test_what_the_reference_encrypts_is_restarted_from_a_pipe(keys: Path, tmp_path: Path) -> None:
    plain, after = str(tmp_path / "plain.crt"), str(tmp_path / "after.crt")
    with victim(mib=12) as pid:
        checkpoint(pid, plain, leave="killed")
        os.waitpid(pid, 0)
        with subprocess.Popen(["age", "-R", keys / "to", plain], stdout=subprocess.PIPE) as source:
            assert source.stdout is not None
            back = restart(source.stdout.fileno(), detach=True, keys=unlock([keys / "key"])).pid
        checkpoint(back, after)

    assert [] == changed(plain, after)


def test_a_changed_image_is_never_run(keys: Path, tmp_path: Path) -> None:
    path = tmp_path / "sealed.crt"
    with victim(mib=20) as pid:  # more than is verified before anything is made
        checkpoint(pid, path, lock=lock([keys / "to"]), leave="killed")
        os.waitpid(pid, 0)
        image = bytearray(path.read_bytes())
        image[len(image) * 3 // 4] ^= 1
        path.write_bytes(image)
        with pytest.raises(ImageError, match="it was changed"):
            restart(path, detach=True, keys=unlock([keys / "key"]))
        # The fixture counts who is left.


def in_largest_extent(image: Path, key: Path) -> int:
    """Where in an encrypted file a byte in the middle of the largest piece of memory is."""
    with ImageReader.open(image, keys=unlock([key])) as reader:
        memory = read_snapshot(reader).memories[0]
        largest = max(range(len(memory.extents)), key=lambda number: memory.extents[number].length)
        before = sum(extent.length for extent in memory.extents[:largest])
        at = reader.data_offset + memory.data + before + memory.extents[largest].length // 2
        plain = reader.info.file_length
    header = image.stat().st_size - plain - -(-plain // CHUNK) * TAG
    return header + at // CHUNK * SEALED_CHUNK + at % CHUNK


IS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hear of forks by a userfaultfd")
LAZY = ("--lazy", "--detach", "--detach-image", "--json")


@IS_ROOT
def test_memory_that_comes_later_is_decrypted(keys: Path, tmp_path: Path) -> None:
    plain, sealed, after = (str(tmp_path / name) for name in ("plain.crt", "sealed.crt", "after.crt"))
    ours = ["--identity", keys / "key", "--require-signature", keys / "sign.pub"]
    with victim() as pid:
        checkpoint(pid, plain)
        checkpoint(pid, sealed, lock=lock([keys / "to"], sign=keys / "sign"), leave="killed")
        os.waitpid(pid, 0)
        assert run("restart", plain, *LAZY, *ours).returncode == 123
        done = run("restart", sealed, *LAZY, *ours)
        assert done.returncode == 0, done
        checkpoint(json.loads(done.stdout)["pid"], after)

    assert [] == changed(plain, after)


@IS_ROOT
def test_a_changed_image_that_comes_later_is_never_given_out(keys: Path, tmp_path: Path) -> None:
    path = tmp_path / "sealed.crt"
    with victim(mib=20) as pid:
        checkpoint(pid, path, lock=lock([keys / "to"]), leave="killed")
        os.waitpid(pid, 0)
        at = in_largest_extent(path, keys / "key")
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))
        done = run("restart", path, *LAZY, "--identity", keys / "key")

    assert done.returncode == 123, done
    assert b"it was changed" in done.stderr
    assert b"are ended: their memory could not be brought any more" in done.stderr


# Says what is opened for writing while an image is made, with the bytes in it when it is closed. Such a hook stays for
# ever. Clones of files, which some file systems cannot make, share the blocks of the file and are empty before.
WATCHED = """
import os, sys
from crtool.engine.checkpoint import checkpoint
from crtool.image.keys import lock
pid, image, to, live = int(sys.argv[1]), *sys.argv[2:]
named, nameless, sizes = [], {}, []
def note(event, args):
    if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR) and args[2] & os.O_TMPFILE != os.O_TMPFILE:
        named.append(os.fsdecode(args[0]))
def open_noted(path, flags, *rest, **words):
    fd = real_open(path, flags, *rest, **words)
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        nameless[fd] = os.fsdecode(path)
    return fd
def close_noted(fd):
    if fd in nameless:
        sizes.append((nameless.pop(fd), os.fstat(fd).st_size > 0))
    real_close(fd)
real_open, real_close, os.open, os.close = os.open, os.close, open_noted, close_noted
sys.addaudithook(note)
checkpoint(pid, image, lock=lock([to]), files="content", live=live)
print({name for name in named if not name.startswith(("/proc/", "/dev/"))}, {name for name, full in sizes if full})
"""


@pytest.mark.parametrize("live", ["auto", "off"])
def test_nothing_is_written_but_the_image(live: str, keys: Path, tmp_path: Path) -> None:
    """The spool of what is copied while the target stands still, above all, is in memory."""
    marker = b"a secret that nobody may see"
    (tmp_path / "file").write_bytes(marker * 100_000)
    with open(tmp_path / "file", "rb") as file:
        target = subprocess.Popen(["sleep", "1000"], stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    image = tmp_path / "sealed.crt"
    try:
        Deadline(10, "sleep").wait_until(lambda: Path(f"/proc/{target.pid}/comm").read_text() == "sleep\n")
        words = [target.pid, image, keys / "to", live]
        done = subprocess.run([sys.executable, "-c", WATCHED, *map(str, words)], capture_output=True, text=True)
    finally:
        target.kill()
        target.wait()

    assert done.stdout.strip() == "set() {'.'}", done
    assert marker not in image.read_bytes()
    content = run("extract", "--file", tmp_path / "file", image, "--identity", keys / "key", "-o", "-").stdout
    assert marker * 100_000 == content


def test_the_command_line(keys: Path, tmp_path: Path) -> None:
    target = subprocess.Popen(
        ["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    image, words = tmp_path / "a.crt", ["--passphrase-file", keys / "words"]
    sealed = ["--encrypt-to", keys / "to", "--sign", keys / "sign"]
    try:
        Deadline(10, "sleep").wait_until(lambda: Path(f"/proc/{target.pid}/comm").read_text() == "sleep\n")
        assert run("checkpoint", target.pid, "-o", image, *words).returncode == 0
        piped = run("checkpoint", target.pid, "-o", "-", *sealed)
        (tmp_path / "b.crt").write_bytes(piped.stdout)
    finally:
        target.kill()
        target.wait()

    assert piped.returncode == 0, piped
    identity = ["--identity", keys / "key"]
    for verb in ("verify", "show", "ls"):
        where = tmp_path if verb == "ls" else tmp_path / "b.crt"
        assert run(verb, where, *identity).returncode == 0
    assert run("verify", image).returncode == 121
    assert run("verify", image, *words).returncode == 0
    assert run("verify", "-", *words, input=image.read_bytes()).returncode == 0
    assert run("verify", image, "--passphrase-fd", "0", input=b"three short words\nand more").returncode == 0
    assert b"another passphrase" in run("verify", image, "--passphrase-fd", "0", input=b"others\n").stderr
    found = json.loads(
        run("verify", "--json", tmp_path / "b.crt", *identity, "--require-signature", keys / "sign.pub").stdout
    )
    fingerprint = subprocess.run(["ssh-keygen", "-l", "-f", keys / "sign.pub"], capture_output=True, text=True).stdout
    assert found["signed_by"] == fingerprint.split()[1]
    assert found["encrypted"] is True
    assert {"a.crt: encrypted", "b.crt: sleep 1000 (encrypted)"} == {
        line.rpartition("/")[2] for line in run("ls", tmp_path, *identity).stdout.decode().splitlines()[1:]
    }
    assert () == diff(tmp_path / "b.crt", tmp_path / "b.crt", keys=unlock([keys / "key"])).changes


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["verify", "a.crt", "--identity", "none"], 127, "none: no such file"),
        (["verify", "a.crt", "--identity", "/"], 121, "cannot be read"),
        (["checkpoint", "1", "--encrypt-to", "words"], 120, "no recipient of age"),
        (["checkpoint", "1", "--encrypt-to", "to", "--passphrase-file", "words"], 120, "either to keys or by"),
        (["verify", "a.crt", "--passphrase", "--passphrase-file", "words"], 120, "several places"),
        (["verify", "-", "--passphrase-fd", "0"], 120, "standard input"),
        (["checkpoint", "1", "--passphrase-file", "/dev/null"], 120, "no passphrase"),
        (["checkpoint", "1", "--passphrase-fd", "77"], 120, "Bad file descriptor"),
        (["checkpoint", "1", "--passphrase"], 120, "no terminal"),
        (["checkpoint", "1", "--sign", "locked"], 120, "give it by --key-passphrase-file or --key-passphrase-fd"),
        (["checkpoint", "1", "--sign", "locked", "--passphrase-file", "words"], 120, "no terminal"),
        (["checkpoint", "1", "--sign", "locked", "--key-passphrase-file", "words"], 120, "has another passphrase"),
        (["checkpoint", "1", "--key-passphrase-file", "words"], 120, "no key"),
        (
            ["checkpoint", "1", "--sign", "locked", "--key-passphrase-file", "words", "--key-passphrase-fd", "0"],
            120,
            "the key comes from several places",
        ),
        (["checkpoint", "1", "--sign", "to"], 120, "no secret key"),
        (["verify", "a.crt", "--require-signature", "sign"], 120, "no public key"),
    ],
)
def test_mistakes(words: list[str], status: int, message: str, keys: Path) -> None:
    done = run(*words, cwd=keys, input=b"", start_new_session=True)

    assert (done.returncode, len(done.stderr.splitlines())) == (status, 2), done
    assert message in done.stderr.decode()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--key-passphrase-file", "keywords"], b""),
        (["--key-passphrase-fd", "0"], b"of the key\n"),
        (["--passphrase-fd", "0", "--key-passphrase-fd", "0"], b"three short words\nof the key\n"),
    ],
)
def test_a_key_with_a_passphrase_and_no_terminal(options: list[str], said: bytes, keys: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.crt"
    with victim() as pid:
        words = ["checkpoint", pid, "--sign", "locked", "-o", image, *options]
        done = run(*words, cwd=keys, input=said, start_new_session=True)

    assert done.returncode == 0, done
    phrase = ["--passphrase-file", "words"] if "--passphrase-fd" in options else []
    assert run("verify", image, *phrase, "--require-signature", "locked.pub", cwd=keys).returncode == 0


def test_a_job_under_care_is_encrypted(keys: Path, tmp_path: Path) -> None:
    """The second image builds on the first."""
    words = ["--incremental", "--passphrase-file", str(keys / "words")]
    command = [*CRTOOL, "run", "--image", "job.d/", "--on-signal", "TERM", *words, "--", "sleep", "1000"]
    for number in range(2):
        job = subprocess.Popen(
            command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        Deadline(30, "the job").wait_until(lambda job=job: sleeps_below(job.pid))
        job.send_signal(signal.SIGTERM)
        _, said = job.communicate(timeout=60)
        assert job.returncode == -signal.SIGTERM, said
        assert (b"going on from" in said) == bool(number), said
    images = sorted((tmp_path / "job.d").glob("*.crt"))
    assert len(images) == 2
    assert all(image.read_bytes().startswith(b"age-encryption.org/v1\n") for image in images)
    listed = json.loads(run("ls", "--json", tmp_path / "job.d", *words[1:]).stdout)["images"]
    assert [1, 0] == [len(image["parents"]) for image in listed]
    done = run(*command[3:8], *command[11:], cwd=tmp_path)
    assert (done.returncode, b"encrypted by a passphrase" in done.stderr) == (121, True), done


def test_a_job_whose_image_is_encrypted_stays_so(keys: Path, tmp_path: Path) -> None:
    """Whoever can go on from it does not save it for everybody."""
    with victim(mib=1) as pid:
        checkpoint(pid, tmp_path / "job.crt", leave="killed", lock=lock([keys / "to"]))
        os.waitpid(pid, 0)
    done = run("run", "--image", tmp_path / "job.crt", "--identity", keys / "key", "--", "sleep", "1000")

    assert 120 == done.returncode, done
    assert f"{tmp_path}/job.crt: the image is encrypted, and those that follow would not be" in done.stderr.decode()


def sleeps_below(pid: int) -> bool:
    """Whether a child of *pid* has become sleep, and sleeps."""
    import psutil

    return any(child.name() == "sleep" for child in psutil.Process(pid).children(recursive=True))


def test_a_chain_of_encrypted_images(keys: Path, tmp_path: Path) -> None:
    plain, first, second, whole = (tmp_path / f"{name}.crt" for name in ("plain", "first", "second", "whole"))
    after = str(tmp_path / "after.crt")
    ours, to = unlock([keys / "key"], require_signature=keys / "sign.pub"), lock([keys / "to"], sign=keys / "sign")
    with victim(mib=20) as pid:
        checkpoint(pid, first, lock=to)
        checkpoint(pid, plain)
        with pytest.raises(TargetError, match="encrypted"):
            checkpoint(pid, second, lock=to, parent=first)
        with pytest.raises(UsageError, match=f"{first}: the parent is encrypted, and what builds on it would not be"):
            checkpoint(pid, second, lock=lock(identities=[keys / "key"]), parent=first)
        assert not second.exists()
        building = lock([keys / "to"], sign=keys / "sign", identities=[keys / "key"])
        checkpoint(pid, second, lock=building, parent=first, leave="killed")
        os.waitpid(pid, 0)
        assert second.stat().st_size < first.stat().st_size // 2
        with pytest.raises(UsageError, match="would not be"):
            squash(second, whole, keys=ours)
        squash(second, whole, keys=ours, lock=to)
        back = restart(second, detach=True, keys=ours).pid
        checkpoint(back, after)

    assert [] == changed(str(plain), after)
    assert [] == [each for each in diff(second, whole, keys=ours).changes if each.thing == "pages"]


def test_what_an_encrypted_image_builds_on_stays(keys: Path, tmp_path: Path) -> None:
    ours, to = unlock([keys / "key"]), lock([keys / "to"], identities=[keys / "key"])
    paths = [str(tmp_path / f"{number}.crt") for number in range(3)]
    with victim(mib=1) as pid:
        for number, path in enumerate(paths):
            checkpoint(pid, path, lock=to, parent=paths[1] if number == 2 else None)
            os.utime(path, (1_000_000_000 + number,) * 2)
    with pytest.raises(TargetError):
        store.prune(str(tmp_path), 1)
    dry = store.prune(str(tmp_path), 1, dry_run=True, keys=ours)
    store.ImageFolder(str(tmp_path), 1, ours).written()

    assert ((paths[2],), (paths[1],), (paths[0],)) == (dry.kept, dry.needed, dry.removed)
    assert paths[1:] == sorted(map(str, tmp_path.glob("*.crt")))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """An image that is neither encrypted nor signed."""
    with victim(mib=1) as pid:
        checkpoint(pid, tmp_path / "plain.crt")
    return tmp_path / "plain.crt"


def test_a_plain_image_is_encrypted_by_a_passphrase(plain: Path, keys: Path, tmp_path: Path) -> None:
    words = ["--passphrase-file", keys / "words"]
    done = run("squash", plain, "-o", tmp_path / "sealed.crt", *words)
    strict = run("verify", plain, *words)
    again = run("squash", tmp_path / "sealed.crt", "-o", tmp_path / "again.crt", *words)

    assert 0 == done.returncode, done
    assert f"{plain} is not encrypted: anybody who may write there can have made it" in done.stderr.decode()
    assert [123, 121, 0] == [
        strict.returncode,
        run("verify", tmp_path / "sealed.crt").returncode,
        run("verify", tmp_path / "sealed.crt", *words).returncode,
    ]
    assert (0, b"") == (again.returncode, again.stderr)
    keys_of_both = replace(unlock(passphrase=lambda: b"three short words"), plain_too=True)
    assert () == diff(plain, tmp_path / "again.crt", keys=keys_of_both).changes


def test_a_new_passphrase_is_asked_for_twice(plain: Path, tmp_path: Path) -> None:
    """Once if there is an image that it has to decrypt."""
    image, new = str(tmp_path / "a.crt"), str(tmp_path / "b.crt")
    job = ("run", "--image", image, "--on-signal", "TERM", "--passphrase", "--", "sleep", "1000")
    for words in (("squash", str(plain), "-o", image, "--passphrase"), job, (*job[:1], "--fresh", *job[1:])):
        with Screen.crtool(*words) as screen:
            screen.expect("Passphrase of the image: ")
            screen.type("mine\n")
            screen.expect("once more: ")
            screen.type("another\n")
            screen.expect("not the same twice")
    with Screen.crtool("squash", str(plain), "-o", image, "--passphrase") as screen:
        for _ in range(2):
            screen.expect(": ")
            screen.type("mine\n")
        screen.expect("made of 1 image")
    with Screen.crtool("squash", image, "-o", new, "--passphrase") as screen:
        screen.expect(": ")
        screen.type("mine\n")
        screen.expect("made of 1 image")
    with Screen.crtool(*job) as screen:
        screen.expect(": ")
        screen.type("another\n")
        screen.expect("encrypted by another passphrase")


def test_a_signature_that_is_lost_is_told(keys: Path, tmp_path: Path) -> None:
    with victim(mib=1) as pid:
        checkpoint(pid, tmp_path / "a.crt", lock=lock(sign=keys / "sign"))
    lost = run("squash", tmp_path / "a.crt", "-o", tmp_path / "b.crt")
    kept = run("squash", tmp_path / "a.crt", "-o", tmp_path / "c.crt", "--sign", keys / "sign")

    assert f"{tmp_path}/a.crt is signed by SHA256:" in lost.stderr.decode()
    assert (0, b"") == (kept.returncode, kept.stderr)
    trusted = ["--require-signature", keys / "sign.pub"]
    assert [123, 0] == [run("verify", tmp_path / name, *trusted).returncode for name in ("b.crt", "c.crt")]


def test_a_squashed_image_goes_to_a_pipe(plain: Path, tmp_path: Path) -> None:
    done = run("squash", plain, "-o", "-", cwd=tmp_path)
    (tmp_path / "piped.crt").write_bytes(done.stdout)

    assert 0 == done.returncode
    assert done.stderr.startswith(b"the stream: ")
    assert b"standard output" in run("squash", plain, "-o", "-", "--json").stderr
    assert () == diff(plain, tmp_path / "piped.crt").changes
    assert {plain.name, "piped.crt"} == set(os.listdir(tmp_path))


@pytest.mark.parametrize("option", ["--encrypt-to", "--identity"])
def test_each_file_of_keys_has_a_key(option: str, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# nobody\n\n")
    full = keys / ("to" if option == "--encrypt-to" else "key")
    done = run("squash", "none.crt", "-o", "x.crt", option, full, option, tmp_path / "empty")

    what = "recipient" if option == "--encrypt-to" else "identity"
    assert 120 == done.returncode
    assert f"crtool: {tmp_path}/empty: there is no {what} in it" == done.stderr.decode().splitlines()[0]
