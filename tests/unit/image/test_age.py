"""The format of age: what the reference tool has written, what it can read, and what is refused."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from crtool.image import age, bech32
from crtool.image.age import CHUNK, MAGIC, TAG, Chunks, Malformed, Stanza

SECRET = bytes(range(32))
IDENTITY = "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG"
RECIPIENT = "age13aqvttdk3ujkyjh9kg2w5an6dmy5mq5a84a4uxk3hfhnugfc9p0sy5p2wh"
TEXT = b"by the reference"
# echo -n "by the reference" | age -r RECIPIENT (1.1.1)
GOLDEN = base64.b85decode(
    "VP|D6Wo~0~d2n=TZ*DGca%V4gF$yg{AXqXrH8D9LdT&ffbW<{RNoZJRHbE;&a7t)PRyagtbuUsfNn&a^H8@5?YfnpfaWi)cFGyEtFhMk9a7r~~b4Yh?"
    "WHM1gbU{)^RdYsFZB9^WY;Q78H7{^XbWu18EiEk|Hd$GEN-J4!OKxu~XjCy~Ha0Y5W;RbrIA}C6b68kfZAMpkcWF6Kcw}b^)F!ctkAjx@<lLloj`Qhs"
    "C(^S_E~Pec((wWe+D3Y~0WVlj0R$T`=+^jNuU#e4"
)
needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="needs age")


def opened(data: bytes, secret: bytes = SECRET, passphrase: bytes | None = None) -> bytes:
    """What a small file of age holds."""
    rest = iter(data.removeprefix(MAGIC).splitlines(keepends=True))
    read = 0

    def read_line() -> bytes:
        nonlocal read
        line = next(rest, b"")
        read += len(line)
        return line

    stanzas, head, mac = age.parse_header(read_line)
    payload = data[len(MAGIC) + read :]
    key = age.unwrap(stanzas, [secret], None if passphrase is None else lambda: passphrase)
    if key is None:
        raise LookupError("no key")
    chunks = age.open_payload(key, head, mac, payload[: age.NONCE])
    return decrypted(chunks, payload[age.NONCE :])


def decrypted(chunks: Chunks, sealed: bytes) -> bytes:
    out = memoryview(bytearray(len(sealed) - TAG))
    if not chunks.decrypt(0, memoryview(sealed), out, last=True):
        raise ValueError("changed")
    return bytes(out)


def sealed(plain: bytes, recipients: tuple[bytes, ...] = (), passphrase: bytes | None = None) -> bytes:
    """A small file of age."""
    head, chunks = age.write_header(recipients, passphrase)
    out = memoryview(bytearray(len(plain) + TAG))
    chunks.encrypt(0, memoryview(plain), out, last=True)
    return head + bytes(out)


def test_keys_are_written_as_age_writes_them() -> None:
    assert ("age-secret-key-", SECRET) == bech32.decode(IDENTITY)
    assert ("age", age.public_of(SECRET)) == bech32.decode(RECIPIENT)
    assert IDENTITY == bech32.encode("age-secret-key-", SECRET).upper()
    assert RECIPIENT == bech32.encode("age", age.public_of(SECRET))


# From BIP 173, but for its limit of length.
@pytest.mark.parametrize("text", ["A12UEL5L", "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"])  # fmt: skip  # noqa: E501
def test_what_is_bech32(text: str) -> None:
    assert bech32.encode(*bech32.decode(text)) == text.lower()


@pytest.mark.parametrize("text", ["", "1", "x1b4n0q5v", "li1dgmt3", "A1G7SGD8", "10a06t8", "1qzzfhee", "A12uEL5L", "A12UEL5M", "pzry9x0s0muk"])  # fmt: skip  # noqa: E501
def test_what_is_not_bech32(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is not shown
        bech32.decode(text)


def test_what_the_reference_has_written_is_read() -> None:
    assert opened(GOLDEN) == TEXT


def test_with_another_key_it_is_not() -> None:
    with pytest.raises(LookupError):
        opened(GOLDEN, bytes(32 * [7]))


def test_every_byte_counts() -> None:
    for at in range(len(MAGIC), len(GOLDEN)):
        bad = GOLDEN[:at] + bytes([GOLDEN[at] ^ 1]) + GOLDEN[at + 1 :]
        with pytest.raises((ValueError, LookupError)):
            opened(bad)


def test_one_of_several_recipients_is_enough() -> None:
    other = bytes(reversed(range(32)))
    file = sealed(b"plain", (age.public_of(other), age.public_of(SECRET)))

    assert opened(file) == opened(file, other) == b"plain"


def test_a_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(age, "_LOG_N", 10)  # less work than is safe
    file = sealed(b"plain", passphrase=b"one two three")

    assert opened(file, passphrase=b"one two three") == b"plain"
    with pytest.raises(LookupError):
        opened(file)
    with pytest.raises(LookupError):
        opened(file, passphrase=b"one two four")


def test_unknown_ways_to_the_key_are_passed_over() -> None:
    stanzas = [Stanza(("ssh-ed25519", "xyz"), b"?"), Stanza(("grease",), b"")]

    assert age.unwrap(stanzas, [SECRET], lambda: b"x") is None


@pytest.mark.parametrize(
    ("stanza", "why"),
    [
        (Stanza(("X25519", "AAAA"), bytes(32)), "recipient's stanza"),
        (Stanza(("X25519",), bytes(32)), "recipient's stanza"),
        (Stanza(("X25519", "A" * 43), bytes(32)), "key is no key"),  # the point of order one: no secret is shared
        (Stanza(("scrypt", "A" * 22, "21"), bytes(32)), "more memory than is sane"),
        (Stanza(("scrypt", "A" * 22, "99999999"), bytes(32)), "passphrase's stanza"),
        (Stanza(("scrypt", "A" * 22, "010"), bytes(32)), "passphrase's stanza"),
        (Stanza(("scrypt", "A" * 22, "-1"), bytes(32)), "passphrase's stanza"),
        (Stanza(("scrypt", "AAAA", "10"), bytes(32)), "passphrase's stanza"),
        (Stanza(("scrypt", "A" * 22, "1"), bytes(31)), "wrong length"),
    ],
)
def test_stanzas_that_cannot_be(stanza: Stanza, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        age.unwrap([stanza], [SECRET], lambda: b"x")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"--- AAAA\n",
        b"-> X25519\n",
        b"-> \n\n--- AAAA\n",
        b"-> a  b\n\n--- AAAA\n",
        b"-> a\nAA==\n--- AAAA\n",
        b"-> a\nAB\n--- AAAA\n",
        b"-> a\n" + b"A" * 65 + b"\n--- AAAA\n",
        b"-> a\nAAAA\n--- AAAA",
        b"-> a\nAAAA\n---\n",
        b"-> scrypt x 1\nAAAA\n-> a\nAAAA\n--- AAAA\n",
        b"-> \xff\n\n--- AAAA\n",
    ],
)
def test_headers_that_cannot_be(header: bytes) -> None:
    lines = iter(header.splitlines(keepends=True))

    with pytest.raises(Malformed):
        age.parse_header(lambda: next(lines, b""))


@needs_age
@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK])
def test_the_reference_reads_what_we_write(length: int, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(IDENTITY)
    file = sealed(bytes(length), (age.public_of(SECRET),))

    done = subprocess.run(["age", "-d", "-i", tmp_path / "key"], input=file, capture_output=True)

    assert (done.returncode, done.stdout) == (0, bytes(length)), done.stderr
