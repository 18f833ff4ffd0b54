"""Encrypted and signed images: written, read at any place and in order, damaged, and by the wrong keys."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crtool.errors import CrtoolError, ImageError, TargetError, UsageError
from crtool.image import age
from crtool.image.age import CHUNK, SEALED_CHUNK, public_of
from crtool.image.compression import choose
from crtool.image.header import SEAL_AT, SIGNATURE_AT
from crtool.image.keys import Keys, Lock, lock, unlock
from crtool.image.reader import ImageReader
from crtool.image.writer import ImageWriter

from .test_age import IDENTITY, RECIPIENT, SECRET

OTHER = bytes(32 * [9])
TO_US = Lock((public_of(SECRET),))
OURS = Keys((SECRET,))
RECORDS = b"records" * 100
DATA = random.Random(3).randbytes(20 * 4096)
LENGTHS = [0, 4096, CHUNK - 2 * 4096, CHUNK - 4096, CHUNK, 20 * 4096, 3 * (1 << 20) + 4096]


def write(path: Path, lock: Lock, data: bytes = DATA, compress: str = "none") -> Path:
    with ImageWriter.create(path, force=True, lock=lock, compressor=choose(compress)) as image:
        image.begin(cpu="x86_64", page_size=4096, records=RECORDS, data_length=len(data))
        image.append(data)
        size = image.finish()
    assert path.stat().st_size == size
    return path


def read(path: Path, keys: Keys | None) -> bytes:
    """All data, after every byte has been verified."""
    with ImageReader.open(path, keys=keys) as image:
        image.verify()
        assert image.records == RECORDS
        view = memoryview(bytearray(image.info.data_length))
        image.read_at(0, view)
        return bytes(view)


@contextmanager
def piped(data: bytes) -> Iterator[int]:
    """The reading end of a pipe through which *data* comes."""
    reading, writing = os.pipe()

    def pour() -> None:
        try:
            with open(writing, "wb") as pipe:
                pipe.write(data)
        except BrokenPipeError:
            pass  # what is wrong has been found

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        yield reading
    finally:
        os.close(reading)
        thread.join()


def stream(data: bytes, keys: Keys | None) -> bytes:
    """All data of an image that comes through a pipe."""
    with piped(data) as fd, ImageReader.open(fd, keys=keys) as image:
        view = memoryview(bytearray(image.info.data_length))
        image.read_data(view)
        image.finish()
        return bytes(view)


def refusal(action: Callable[[], object], kind: type[CrtoolError] = ImageError) -> str:
    """The one line in which *action* is refused; there is a remedy, too."""
    with pytest.raises(kind) as caught:
        action()
    assert caught.value.remedy
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("compress", ["none", "lz4"])
@pytest.mark.parametrize("length", LENGTHS)
def test_what_was_written_is_read(length: int, compress: str, tmp_path: Path) -> None:
    data = random.Random(length).randbytes(length)
    path = write(tmp_path / "a.crt", TO_US, data, compress)

    assert data == read(path, OURS) == stream(path.read_bytes(), OURS)
    assert RECORDS not in path.read_bytes()


def test_any_place_is_read(tmp_path: Path) -> None:
    data = random.Random(5).randbytes(2 << 20)
    path = write(tmp_path / "a.crt", TO_US, data)
    dice = random.Random(6)
    with ImageReader.open(path, keys=OURS) as image:
        assert not image.is_plain
        for _ in range(100):
            begin = dice.randrange(len(data))
            view = bytearray(dice.randrange(len(data) - begin + 1))
            image.read_at(begin, memoryview(view))
            assert data[begin : begin + len(view)] == view


def test_writing_in_odd_pieces(tmp_path: Path) -> None:
    dice = random.Random(7)
    data = dice.randbytes(1 << 20)
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe, ImageWriter.to_descriptor(writing, lock=TO_US) as image:
        found = bytearray()
        thread = threading.Thread(target=lambda: found.extend(pipe.read()))
        thread.start()
        image.begin(cpu="x86_64", page_size=4096, records=RECORDS, data_length=len(data))
        rest = memoryview(data)
        while rest:
            part = rest[: dice.choice((1, 100, 5000, CHUNK, 100_000))]
            image.append(part)
            rest = rest[len(part) :]
        image.finish()
        os.close(writing)
        thread.join()

    assert data == stream(bytes(found), OURS)


def test_nobody_writes_into_it_directly(tmp_path: Path) -> None:
    with ImageWriter.create(tmp_path / "a.crt", lock=TO_US) as image:
        assert image.direct == -1


def test_the_same_image_is_never_the_same(tmp_path: Path) -> None:
    assert write(tmp_path / "a", TO_US).read_bytes() != write(tmp_path / "b", TO_US).read_bytes()


def test_flips_cuts_and_additions_are_found_in_files_and_pipes(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.crt", TO_US).read_bytes()
    begin = whole.index(b"\n---") + 5
    places = [*range(22, begin + 70, 3), *range(begin + 70, len(whole), 1997), len(whole) - 1]
    for place in places:
        flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        for bad in (flipped, whole[:place], whole + whole[-place:]):
            (tmp_path / "bad").write_bytes(bad)
            # A recipient's stanza that was changed is one of somebody else.
            with pytest.raises((ImageError, TargetError)):
                read(tmp_path / "bad", OURS)
            with pytest.raises((ImageError, TargetError)):
                stream(bad, OURS)


def test_where_it_is_damaged_is_said(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.crt", TO_US).read_bytes()
    begin = len(whole) - len(whole[whole.index(b"\n---") + 65 :])
    (tmp_path / "a.crt").write_bytes(whole[: begin + 100] + b"?" + whole[begin + 101 :])

    first = f"a.crt: the image is damaged: encryption, bytes {begin}–{begin + SEALED_CHUNK - 1}: it was changed"
    assert first in refusal(lambda: read(tmp_path / "a.crt", OURS))


def test_chunks_in_another_order_are_found(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.crt", TO_US, bytes(4 * CHUNK)).read_bytes()
    begin = whole.index(b"\n---") + 65
    first, second = whole[begin : begin + SEALED_CHUNK], whole[begin + SEALED_CHUNK : begin + 2 * SEALED_CHUNK]
    bad = whole[:begin] + second + first + whole[begin + 2 * SEALED_CHUNK :]
    (tmp_path / "a.crt").write_bytes(bad)

    assert "it was changed" in refusal(lambda: read(tmp_path / "a.crt", OURS))
    assert "it was changed" in refusal(lambda: stream(bad, OURS))


def test_a_cut_between_two_chunks_is_found(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.crt", TO_US, bytes(4 * CHUNK)).read_bytes()
    bad = whole[: whole.index(b"\n---") + 65 + 2 * SEALED_CHUNK]
    (tmp_path / "a.crt").write_bytes(bad)

    assert "cut off" in refusal(lambda: read(tmp_path / "a.crt", OURS))
    assert "cut off" in refusal(lambda: stream(bad, OURS))


def test_without_the_key(tmp_path: Path) -> None:
    path = write(tmp_path / "a.crt", TO_US)

    for keys, remedy in ((None, "the image is encrypted"), (Keys((OTHER,)), "for others than the given keys")):
        assert remedy in refusal(lambda keys=keys: read(path, keys), TargetError)
        assert remedy in refusal(lambda keys=keys: stream(path.read_bytes(), keys), TargetError)


def test_without_the_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(age, "_LOG_N", 10)  # less work than is safe
    path = write(tmp_path / "a.crt", Lock(passphrase=b"secret"))

    assert read(path, Keys(passphrase=lambda: b"secret")) == DATA
    assert "by a passphrase" in refusal(lambda: read(path, OURS), TargetError)
    assert "by another passphrase" in refusal(lambda: read(path, Keys(passphrase=lambda: b"no")), TargetError)


def test_a_plain_image_does_not_pass_for_one_with_a_passphrase(tmp_path: Path) -> None:
    path = write(tmp_path / "a.crt", Lock())

    assert "is not encrypted" in refusal(lambda: read(path, Keys(passphrase=lambda: b"secret")))
    assert read(path, OURS) == DATA


def test_armour_is_told_from_damage(tmp_path: Path) -> None:
    (tmp_path / "a.crt").write_bytes(b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n")

    assert "armoured" in refusal(lambda: read(tmp_path / "a.crt", OURS))


def test_a_header_without_end_is_not_read_for_ever() -> None:
    with open("/dev/zero", "rb") as zeros:
        endless = b"age-encryption.org/v1\n-> " + zeros.read(1 << 20)
    assert "too long" in refusal(lambda: stream(endless, OURS))


@pytest.mark.parametrize("missing", ["lock", "unlock"])
def test_without_the_package(missing: str, tmp_path: Path) -> None:
    """crtool without its extra names it, with status 126."""
    write(tmp_path / "a.crt", TO_US)
    (tmp_path / "to").write_text(RECIPIENT)
    action = "lock(['to'])" if missing == "lock" else "ImageReader.open('a.crt')"
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from crtool.image.reader import ImageReader; from crtool.image.keys import lock\n"
        "from crtool.errors import CrtoolError\n"
        f"try: {action}\n"
        "except CrtoolError as error: print(error.status, error.message, error.remedy)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)

    assert done.stdout.startswith("126 the package cryptography"), done
    assert "crtool[crypto]" in done.stdout


# --- signatures -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs of keys: a, a.pub, b, b.pub."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    folder = tmp_path_factory.mktemp("keys")
    for name in "ab":
        key = Ed25519PrivateKey.generate()
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        (folder / name).write_bytes(secret)
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        (folder / f"{name}.pub").write_bytes(public + b" somebody@somewhere\n")
        (folder / f"{name}.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / f"{name}.pub.pem").write_bytes(
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        (folder / f"{name}.raw").write_bytes(raw)
        (folder / f"{name}.pub.raw").write_bytes(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    return folder


@pytest.mark.parametrize("end", ["", ".pem", ".raw"])
@pytest.mark.parametrize("compress", ["none", "lz4"])
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_signed_image(end: str, compress: str, encrypted: bool, pairs: Path, tmp_path: Path) -> None:
    signing = lock(sign=pairs / f"a{end}")
    path = write(tmp_path / "a.crt", Lock(TO_US.recipients if encrypted else (), None, signing.signer), DATA, compress)
    public = {"": "a.pub", ".pem": "a.pub.pem", ".raw": "a.pub.raw"}[end]
    ours, others = (
        Keys((SECRET,), None, unlock(require_signature=pairs / name).verifiers) for name in (public, "b.pub")
    )

    assert DATA == read(path, ours) == stream(path.read_bytes(), ours) == read(path, OURS)
    assert "is signed by SHA256:" in refusal(lambda: read(path, others))
    assert "is signed by SHA256:" in refusal(lambda: stream(path.read_bytes(), others))


def test_any_of_several_keys_will_do(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "team").write_bytes(b"# all of us\n" + (pairs / "b.pub").read_bytes() + (pairs / "a.pub").read_bytes())
    path = write(tmp_path / "a.crt", lock(sign=pairs / "a"))

    assert read(path, unlock(require_signature=tmp_path / "team")) == DATA


def test_an_image_without_a_signature_is_refused(pairs: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.crt", Lock())

    keys = unlock(require_signature=pairs / "a.pub")
    assert "is not signed" in refusal(lambda: read(path, keys))
    assert "is not signed" in refusal(lambda: stream(path.read_bytes(), keys))


def test_a_forger_who_puts_all_hashes_right_is_found(pairs: Path, tmp_path: Path) -> None:
    """One who has everything but the key: he takes the signatures of another image over to his own."""
    honest = write(tmp_path / "honest", lock(sign=pairs / "a")).read_bytes()
    for change in ("data", "records"):
        data, records = DATA, RECORDS
        if change == "data":
            data = bytes(4096) + DATA[4096:]
        else:
            records = RECORDS[::-1]
        with ImageWriter.create(tmp_path / "forged", force=True, lock=lock(sign=pairs / "b")) as image:
            image.begin(cpu="x86_64", page_size=4096, records=records, data_length=len(data))
            image.append(data)
            image.finish()
        forged = bytearray((tmp_path / "forged").read_bytes())
        forged[SEAL_AT + 32 : SEAL_AT + 128] = honest[SEAL_AT + 32 : SEAL_AT + 128]
        forged[-128:-64] = honest[-128:-64]
        resealed = put_right(bytes(forged))
        (tmp_path / "forged").write_bytes(resealed)

        assert "whose" not in refusal(lambda: read(tmp_path / "forged", unlock(require_signature=pairs / "b.pub")))
        keys = unlock(require_signature=pairs / "a.pub")
        assert "forged" in refusal(lambda keys=keys: read(tmp_path / "forged", keys))
        assert "forged" in refusal(lambda keys=keys, image=resealed: stream(image, keys))
        assert read_records_only(resealed, keys) == (change == "data"), "records are judged before data comes"


def put_right(image: bytes) -> bytes:
    """All checksums that anybody can compute."""
    import hashlib
    import struct

    from xxhash import xxh3_128_digest

    page = image[:4080]
    page += xxh3_128_digest(page)
    begin = 4096 + 4096
    data, hashes = image[begin : begin + len(DATA)], image[begin + len(DATA) : -128]
    assert hashes == hashlib.sha256(data).digest()
    records = image[4096:begin]
    root = hashlib.blake2b(page + records + hashes, digest_size=32).digest()
    tail = hashes + image[-128:-64] + root + struct.pack("<Q8s", len(image), b"CRTend\r\n")
    return page + records + data + tail + xxh3_128_digest(tail)


def read_records_only(image: bytes, keys: Keys) -> bool:
    """Whether a reader of a pipe gets as far as the records."""
    try:
        with piped(image) as fd, ImageReader.open(fd, keys=keys):
            return True
    except ImageError:
        return False


def test_the_signature_of_the_header_is_at_its_place(pairs: Path, tmp_path: Path) -> None:
    """As docs/image-format.md has it, by means of the library alone."""
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    image = write(tmp_path / "a.crt", lock(sign=pairs / "a")).read_bytes()
    public = load_ssh_public_key((pairs / "a.pub").read_bytes())

    public.verify(image[160:224], b"crtool image, header\n" + image[:160])
    public.verify(image[-128:-64], b"crtool image, root\n" + image[-64:-32])
    assert SIGNATURE_AT == 160


# --- files of keys --------------------------------------------------------------------------------------------------


def test_files_of_keys(tmp_path: Path) -> None:
    (tmp_path / "to").write_text(f"# us\n\n{RECIPIENT}\n  {RECIPIENT}  \n")
    (tmp_path / "key").write_text(f"# created: today\n{IDENTITY}\n")

    assert lock([tmp_path / "to"]).recipients == (public_of(SECRET),) == lock([tmp_path / "key"]).recipients
    assert unlock([tmp_path / "key"]).identities == (SECRET,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no recipient in it"),
        ("ssh-ed25519 AAAA x@y", "no recipient of age"),
        (RECIPIENT[:-1] + "q", "no recipient of age"),
        ("x" * (2 << 20), "too long"),
    ],
)
def test_files_of_other_things(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "to").write_text(content)

    assert words in refusal(lambda: lock([tmp_path / "to"]), UsageError)


@pytest.mark.parametrize("head", [b"age-encryption.org/v1\n-> scrypt ", b"-----BEGIN AGE ENCRYPTED FILE-----\n"])
def test_an_identity_with_a_passphrase(head: bytes, tmp_path: Path) -> None:
    """age -p makes them. The remedy works: what age decrypts comes through a pipe."""
    (tmp_path / "key").write_bytes(head)
    for read in (unlock, lock):
        with pytest.raises(UsageError) as refused:
            read([tmp_path / "key"])
        assert "the key is encrypted itself, by a passphrase" in refused.value.message
        assert f"<(age -d {tmp_path / 'key'})" in str(refused.value.remedy)

    decrypted, end = os.pipe()
    os.write(end, f"{IDENTITY}\n".encode())
    os.close(end)
    assert unlock([f"/dev/fd/{decrypted}"]).identities == (SECRET,)
    os.close(decrypted)


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(IDENTITY[:-1] + "Q")

    message = refusal(lambda: unlock([tmp_path / "key"]), UsageError)
    assert "no identity of age" in message
    assert IDENTITY[20:40] not in message


def test_keys_for_signing_that_are_none(pairs: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    assert "no secret key" in refusal(lambda: lock(sign=pairs / "a.pub"), UsageError)
    assert "no public key" in refusal(lambda: unlock(require_signature=pairs / "a"), UsageError)
    key = generate_private_key(SECP256R1())
    (tmp_path / "elliptic").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert "another kind" in refusal(lambda: lock(sign=tmp_path / "elliptic"), UsageError)


def test_a_key_for_signing_with_a_passphrase(pairs: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_ssh_private_key,
    )

    key = load_ssh_private_key((pairs / "a").read_bytes(), None)
    for form in (PrivateFormat.PKCS8, PrivateFormat.OpenSSH):
        try:
            content = key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
        except Exception:  # noqa: BLE001 - OpenSSH's form wants bcrypt
            continue
        (tmp_path / "key").write_bytes(content)

        signer = lock(sign=tmp_path / "key", ask=lambda what: b"secret").signer
        assert signer is not None
        assert (pairs / "a.pub.raw").read_bytes() == signer.public
        assert "another passphrase" in refusal(lambda: lock(sign=tmp_path / "key", ask=lambda what: b"no"), UsageError)
        assert "passphrase" in refusal(lambda: lock(sign=tmp_path / "key"), UsageError)


def encrypted_key(folder: Path, form: str) -> Path:
    """An Ed25519 key with the passphrase "secret", as others' tools make it."""
    path = folder / "key"
    if form == "openssh":
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", path]
    else:
        command = ["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:secret", "-out", path]
    subprocess.run(command, check=True, capture_output=True)
    return path


def no_terminal(_: str) -> bytes:
    raise UsageError("there is no terminal", "none")


@pytest.mark.parametrize("form", ["openssh", "pem"])
def test_a_signing_key_with_a_passphrase(form: str, tmp_path: Path) -> None:
    """Each reason is told as what it is."""
    path = encrypted_key(tmp_path, form)
    with pytest.raises(UsageError, match=r"^there is no terminal$"):
        lock(sign=path, ask=no_terminal)
    with pytest.raises(UsageError, match=r": the key has a passphrase$"):
        lock(sign=path)
    if form == "openssh":
        pytest.importorskip("bcrypt")
    with pytest.raises(UsageError, match=r": the key has another passphrase$"):
        lock(sign=path, ask=lambda what: b"wrong")
    assert lock(sign=path, ask=lambda what: b"secret").signer is not None


def test_the_package_for_such_keys_is_named(tmp_path: Path) -> None:
    """cryptography looks for it when it is imported."""
    path = encrypted_key(tmp_path, "openssh")
    program = (
        "import sys; sys.modules['bcrypt'] = None\n"
        "from crtool.image.keys import lock\n"
        "from crtool.errors import EnvironmentDiffers\n"
        "try: lock(sign=sys.argv[1], ask=lambda what: b'secret')\n"
        "except EnvironmentDiffers as error: print(error.message, error.remedy, sep=chr(10))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [
        f"{path}: the package bcrypt, which keys of OpenSSH with a passphrase want, is not here",
        'install it: pip install "crtool[crypto]"',
    ]
