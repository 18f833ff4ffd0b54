"""The file format of age, version 1: who can decrypt a file, and chunks of it that are encrypted and authenticated.

So what crtool encrypts can be decrypted by age, and the other way round. A file begins with lines of text, the
*header*: for each recipient, or for a passphrase, a *stanza* in which a file key is wrapped, and a MAC over all of
them. Then come 16 bytes that with the file key give the key of the payload, and the payload: chunks of 64 KiB, each
with a tag of 16 bytes, of which the last is marked, so that a file that was cut is told from a whole one.

    file key     16 random bytes
    X25519       wrapped by ChaCha20-Poly1305 with HKDF-SHA-256 of the shared secret
    scrypt       wrapped likewise with what scrypt makes of the passphrase; the only stanza then
    payload      STREAM of ChaCha20-Poly1305: the nonce is the number of the chunk and whether it is the last

Source: https://c2sp.org/age (age-encryption.org/v1). The one door to ``cryptography`` for encryption: an extra, which
is imported when it is used.
"""

from __future__ import annotations

import hmac
import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from hashlib import scrypt, sha256
from typing import Any

from crtool.errors import EnvironmentDiffers
from crtool.record import dataclass

__all__ = [
    "ARMOUR",
    "CHUNK",
    "MAGIC",
    "NONCE",
    "SEALED_CHUNK",
    "TAG",
    "Chunks",
    "Malformed",
    "Stanza",
    "open_payload",
    "parse_header",
    "public_of",
    "require_package",
    "unwrap",
    "write_header",
]

MAGIC = b"age-encryption.org/v1\n"
ARMOUR = b"-----BEGIN AGE"  # how the same begins as base64
NONCE = 16  # bytes between header and payload
CHUNK, TAG = 64 << 10, 16
SEALED_CHUNK = CHUNK + TAG
_FILE_KEY = 16
_KEY = 32
_SALT = 16
_COLUMNS = 64  # of the base64 lines of a stanza
_LOG_N = 18  # of scrypt, as age chooses it: 256 MiB, about a second
_HIGHEST_LOG_N = 20  # 1 GiB: whoever makes a file decides how much its reader takes
_INFO = b"age-encryption.org/v1/"
_REMEDY = 'install it: pip install "crtool[crypto]"'


class Malformed(ValueError):
    """Not as the format has it."""


@dataclass(frozen=True)
class Stanza:
    """One way to the file key."""

    arguments: tuple[str, ...]  # the first is its kind
    body: bytes


def require_package() -> None:
    """EnvironmentDiffers if ``cryptography`` is not installed."""
    try:
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401, PLC0415
    except ImportError:
        raise EnvironmentDiffers("the package cryptography, which encrypts and signs, is not here", _REMEDY) from None


def write_header(recipients: Sequence[bytes], passphrase: bytes | None) -> tuple[bytes, Chunks]:
    """The beginning of a new file, nonce included, and what encrypts its payload.

    *recipients*: X25519 public keys, and no *passphrase*, or just that.
    """
    key = os.urandom(_FILE_KEY)
    stanzas = [_wrap_x25519(key, recipient) for recipient in recipients]
    if passphrase is not None:
        stanzas = [_wrap_scrypt(key, passphrase)]
    head = MAGIC + b"".join(_written(stanza) for stanza in stanzas) + b"---"
    nonce = os.urandom(NONCE)
    return head + b" " + _encoded(_mac(key, head)).encode() + b"\n" + nonce, _chunks(key, nonce)


def parse_header(read_line: Callable[[], bytes]) -> tuple[list[Stanza], bytes, bytes]:
    """The stanzas of a file whose first line has been read, the bytes that the MAC is over, and the MAC.

    *read_line* gives the next line with its end, or what there is of it. Raises Malformed.
    """
    head, stanzas = bytearray(MAGIC), []
    while (line := read_line()).startswith(b"-> "):
        head += line
        arguments = _text(line)[3:].split(" ")
        if not all(argument and argument.isprintable() for argument in arguments):
            raise Malformed("a stanza has an empty argument")
        body = bytearray()
        while True:
            head += (line := read_line())
            body += _decoded(_text(line))
            if len(line) - 1 < _COLUMNS:
                break
            if len(line) - 1 > _COLUMNS:
                raise Malformed("a line of a stanza is too long")
        stanzas.append(Stanza(tuple(arguments), bytes(body)))
    if not line.startswith(b"--- ") or not stanzas:
        raise Malformed("its header does not end as it should")
    mac = _decoded(_text(line)[4:])
    if any(stanza.arguments[0] == "scrypt" for stanza in stanzas) and len(stanzas) > 1:
        raise Malformed("a passphrase is not the only way to its key")
    return stanzas, bytes(head + b"---"), mac


def unwrap(
    stanzas: Sequence[Stanza], identities: Sequence[bytes], passphrase: Callable[[], bytes] | None
) -> bytes | None:
    """The file key, if one of *identities*, X25519 secret keys, or the passphrase leads to it. Raises Malformed."""
    for stanza in stanzas:
        if stanza.arguments[0] == "X25519":
            for identity in identities:
                if (key := _unwrap_x25519(stanza, identity)) is not None:
                    return key
        elif stanza.arguments[0] == "scrypt" and passphrase is not None:
            return _unwrap_scrypt(stanza, passphrase)
    return None


def open_payload(key: bytes, head: bytes, mac: bytes, nonce: bytes) -> Chunks:
    """What decrypts the payload; Malformed if the MAC is wrong."""
    if not hmac.compare_digest(_mac(key, head), mac):
        raise Malformed("its header has been changed")
    return _chunks(key, nonce)


class Chunks:
    """The chunks of a payload, by their numbers. For any thread."""

    def __init__(self, cipher: Any) -> None:
        self._cipher = cipher
        # Since cryptography 47; before, bytes are made and copied.
        self._encrypt: Any = getattr(cipher, "encrypt_into", None)
        self._decrypt: Any = getattr(cipher, "decrypt_into", None)

    def encrypt(self, number: int, plain: memoryview, out: memoryview, *, last: bool) -> None:
        """Fills *out*, which is longer by :data:`TAG`."""
        if self._encrypt is not None:
            self._encrypt(_nonce(number, last), plain, None, out)
        else:
            out[:] = self._cipher.encrypt(_nonce(number, last), plain, None)

    def decrypt(self, number: int, sealed: memoryview, out: memoryview, *, last: bool) -> bool:
        """Fills *out*, which is shorter by :data:`TAG`; False if *sealed* is not just that chunk as it was written."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        try:
            if self._decrypt is not None:
                self._decrypt(_nonce(number, last), sealed, None, out)
            else:
                out[:] = self._cipher.decrypt(_nonce(number, last), sealed, None)
        except InvalidTag:
            return False
        return True


def public_of(identity: bytes) -> bytes:
    """The X25519 public key of a secret one."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415

    return _raw(X25519PrivateKey.from_private_bytes(identity).public_key())


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes((last,))


def _chunks(key: bytes, nonce: bytes) -> Chunks:
    return Chunks(_cipher(_hkdf(key, nonce, b"payload")))


def _mac(key: bytes, head: bytes) -> bytes:
    return hmac.digest(_hkdf(key, b"", b"header"), head, "sha256")


def _wrap_x25519(key: bytes, recipient: bytes) -> Stanza:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415

    ephemeral = X25519PrivateKey.generate()
    share = _raw(ephemeral.public_key())
    wrapping = _cipher(_x25519_key(ephemeral, recipient, share + recipient))
    return Stanza(("X25519", _encoded(share)), wrapping.encrypt(bytes(12), key, None))


def _unwrap_x25519(stanza: Stanza, identity: bytes) -> bytes | None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415

    if len(stanza.arguments) != 2 or len(share := _decoded(stanza.arguments[1])) != _KEY:
        raise Malformed("a recipient's stanza is wrong")
    secret = X25519PrivateKey.from_private_bytes(identity)
    return _opened(stanza, _x25519_key(secret, share, share + _raw(secret.public_key())))


def _x25519_key(secret: Any, public: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey  # noqa: PLC0415

    try:
        shared: bytes = secret.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # a point of low order: the secret would be no secret
        raise Malformed("a recipient's key is no key") from None
    return _hkdf(shared, salt, _INFO + b"X25519")


def _wrap_scrypt(key: bytes, passphrase: bytes) -> Stanza:
    salt = os.urandom(_SALT)
    wrapping = _cipher(_scrypt_key(passphrase, salt, _LOG_N))
    return Stanza(("scrypt", _encoded(salt), str(_LOG_N)), wrapping.encrypt(bytes(12), key, None))


def _unwrap_scrypt(stanza: Stanza, passphrase: Callable[[], bytes]) -> bytes | None:
    if len(stanza.arguments) != 3 or len(salt := _decoded(stanza.arguments[1])) != _SALT:
        raise Malformed("the passphrase's stanza is wrong")
    work = stanza.arguments[2]
    if not work.isascii() or not work.isdecimal() or len(work) > 2 or work.startswith("0"):
        raise Malformed("the passphrase's stanza is wrong")
    if int(work) > _HIGHEST_LOG_N:
        raise Malformed(f"its passphrase takes more memory than is sane (2^{work} KiB)")
    return _opened(stanza, _scrypt_key(passphrase(), salt, int(work)))


def _scrypt_key(passphrase: bytes, salt: bytes, log_n: int) -> bytes:
    n = 1 << log_n
    memory = 128 * 8 * (n + 64)
    return scrypt(passphrase, salt=_INFO + b"scrypt" + salt, n=n, r=8, p=1, maxmem=memory, dklen=_KEY)


def _opened(stanza: Stanza, wrapping_key: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415

    if len(stanza.body) != _FILE_KEY + TAG:
        raise Malformed("a wrapped key has a wrong length")
    try:
        key: bytes = _cipher(wrapping_key).decrypt(bytes(12), stanza.body, None)
    except InvalidTag:
        return None
    return key


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415

    return ChaCha20Poly1305(key)


def _raw(public: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    found: bytes = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return found


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869) of one block."""
    return hmac.digest(hmac.digest(salt or bytes(sha256().digest_size), secret, "sha256"), info + b"\x01", "sha256")


def _written(stanza: Stanza) -> bytes:
    body = _encoded(stanza.body)
    lines = [body[at : at + _COLUMNS] for at in range(0, len(body) + 1, _COLUMNS)]
    return f"-> {' '.join(stanza.arguments)}\n{''.join(line + chr(10) for line in lines)}".encode()


def _encoded(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        data = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except Base64Error:
        raise Malformed("a line of its header is not base64") from None
    if _encoded(data) != text:
        raise Malformed("a line of its header is not canonical base64")
    return data


def _text(line: bytes) -> str:
    """A line without its end."""
    if not line.endswith(b"\n") or not line.isascii():
        raise Malformed("its header is cut off, or no text")
    return line[:-1].decode("ascii")
