"""Signatures by Ed25519: that an image was made by somebody who has a key, and has not been changed since.

A signed image has SHA-256 in the place of fast hashes, since those can be forged. It is signed twice: the header, which
then has a hash of records and map, so that a reader of a pipe can judge them before it makes anything of them; and the
root hash, which binds all. Keys are read as OpenSSH and OpenSSL write them, or as 32 bytes.

The one door to ``cryptography`` for signatures.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from crtool.errors import CrtoolError, EnvironmentDiffers, ImageError, UsageError
from crtool.image.header import SIGNATURE_AT, SIGNED, Header, Seal
from crtool.image.trouble import ANOTHER_COPY, Path, damaged, shown
from crtool.record import replace

__all__ = [
    "Signer",
    "fingerprint",
    "judge_header",
    "judge_root",
    "load_signer",
    "load_verifiers",
]

_PUBLIC = 32  # bytes
# What a signature is for is signed, too, so that one cannot be taken for the other.
_HEADER_PURPOSE, _ROOT_PURPOSE = b"crtool image, header\n", b"crtool image, root\n"
_SSH_KIND = b"ssh-ed25519"


class Signer:
    """A secret key."""

    def __init__(self, key: Any) -> None:
        self._key = key
        self.public: bytes = _raw(key.public_key())

    def sign_header(self, header: Header, content: bytes) -> Header:
        """*header* with its signature; *content* is records and map."""
        seal = Seal(sha256(content).digest(), self.public, b"")
        header = replace(header, flags=header.flags | SIGNED, seal=seal)
        return replace(header, seal=replace(seal, signature=self._sign(_message(header))))

    def sign_root(self, root: bytes) -> bytes:
        """The signature of the root hash."""
        return self._sign(_ROOT_PURPOSE + root)

    def _sign(self, message: bytes) -> bytes:
        signature: bytes = self._key.sign(message)
        return signature


def judge_header(header: Header, content: bytes, verifiers: Sequence[bytes] | None, name: str) -> None:
    """ImageError unless *content*, records and map of the image *name*, is what was signed, and by one of *verifiers*.

    None of them: nobody has asked for a signature.
    """
    if header.seal is not None and sha256(content).digest() != header.seal.content_hash:
        raise damaged(name, "records", "their strong hash does not match")
    if verifiers is not None:
        signature = b"" if header.seal is None else header.seal.signature
        _judge(header, signature, _message(header), verifiers, name)


def judge_root(header: Header, root: bytes, signature: bytes, verifiers: Sequence[bytes] | None, name: str) -> None:
    """The same of the root hash."""
    if verifiers is not None:
        _judge(header, signature, _ROOT_PURPOSE + root, verifiers, name)


def _message(header: Header) -> bytes:
    return _HEADER_PURPOSE + header.pack()[:SIGNATURE_AT]


def _judge(header: Header, signature: bytes, message: bytes, verifiers: Sequence[bytes], name: str) -> None:
    public = None if header.seal is None else header.seal.public
    wanted = " or ".join(fingerprint(key) for key in verifiers)
    if public is None:
        raise ImageError(f"{name}: the image is not signed", f"use one that is signed by {wanted}")
    if public not in verifiers:
        raise ImageError(f"{name}: the image is signed by {fingerprint(public)}", f"use one that is signed by {wanted}")
    if not _verifies(public, signature, message):
        raise ImageError(f"{name}: its signature is not that of {wanted}: it is forged, or damaged", ANOTHER_COPY)


def _verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether *signature* is that of *message* by *public*."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def fingerprint(public: bytes) -> str:
    """What ssh-keygen -l says of a public key."""
    wire = len(_SSH_KIND).to_bytes(4, "big") + _SSH_KIND + _PUBLIC.to_bytes(4, "big") + public
    return f"SHA256:{b64encode(sha256(wire).digest()).decode().rstrip('=')}"


def load_signer(path: Path, content: bytes, ask: Callable[[str], bytes] | None) -> Signer:
    """The secret key in *content*; *ask* is asked for its passphrase, if it has one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
        load_ssh_private_key,
    )

    remedy = "ssh-keygen -t ed25519 makes one, and so does openssl genpkey -algorithm ed25519"
    if len(content) == _PUBLIC:
        return Signer(Ed25519PrivateKey.from_private_bytes(content))
    load: Any = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in content else load_pem_private_key
    try:
        try:
            key = load(content, None)
        except (TypeError, ValueError) as error:
            if "assword" not in str(error):
                raise
            key = _decrypted(load, path, content, ask)
    except CrtoolError:
        raise
    except Exception:  # noqa: BLE001 - whatever the library makes of what is no key
        raise UsageError(f"{shown(path)}: no secret key that is known", remedy) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{shown(path)}: a key of another kind than Ed25519", remedy)
    return Signer(key)


def _decrypted(load: Any, path: Path, content: bytes, ask: Callable[[str], bytes] | None) -> Any:
    if ask is None:
        raise UsageError(f"{shown(path)}: the key has a passphrase", "give it, or take a key that has none")
    phrase = ask(f"Passphrase of {shown(path)}")
    try:
        return load(content, phrase)
    except ValueError:
        raise UsageError(f"{shown(path)}: the key has another passphrase", "give its passphrase") from None
    except Exception as error:
        if "bcrypt" not in str(error):  # what cryptography leaves it to, and does not bring along
            raise
        missing = f"{shown(path)}: the package bcrypt, which keys of OpenSSH with a passphrase want, is not here"
        raise EnvironmentDiffers(missing, 'install it: pip install "crtool[crypto]"') from None


def load_verifiers(path: Path, content: bytes) -> tuple[bytes, ...]:
    """The public keys in *content*: one as PEM or 32 bytes, or lines as in ~/.ssh/*.pub or authorized_keys."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key  # noqa: PLC0415

    if len(content) == _PUBLIC:
        return (content,)
    try:
        if b"-----BEGIN" in content:
            keys: list[Any] = [load_pem_public_key(content)]
        else:
            keys = [
                load_ssh_public_key(line) for line in re.findall(rb"^ssh-ed25519 +[^ \r\n]+", content, re.MULTILINE)
            ]
    except Exception:  # noqa: BLE001 - whatever the library makes of what is no key
        keys = []
    if not keys or not all(isinstance(key, Ed25519PublicKey) for key in keys):
        remedy = "give the file that ends with .pub, or what openssl pkey -pubout writes"
        raise UsageError(f"{shown(path)}: no public key of the kind Ed25519", remedy)
    return tuple(_raw(key) for key in keys)


def _raw(public: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    found: bytes = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return found
