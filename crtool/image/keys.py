"""What a user gives so that an image can be written for some readers only, or be read and trusted.

Keys come from files, and passphrases from whoever is asked, when they are needed: never from an argument, which every
user of the machine can read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from crtool.errors import CrtoolError, NotFound, TargetError, UsageError
from crtool.image import bech32
from crtool.image.age import MAGIC, public_of, require_package
from crtool.image.signature import Signer, load_signer, load_verifiers
from crtool.image.trouble import Path, shown
from crtool.record import dataclass

__all__ = ["Keys", "Lock", "lock", "unlock"]

_RECIPIENT, _IDENTITY = "age", "age-secret-key-"
_LENGTH = 32  # of a key, bytes
_MAKE_RECIPIENT = "age-keygen -y makes one of an identity"
_ENCRYPTED = (MAGIC, b"-----BEGIN AGE ENCRYPTED FILE-----")  # age -p, and age -p -a
_LARGEST = 1 << 20  # of a file of keys, bytes


@dataclass(frozen=True)
class Lock:
    """For writing: who can read an image, and who has made it."""

    recipients: tuple[bytes, ...] = ()  # X25519 public keys
    passphrase: bytes | None = None
    signer: Signer | None = None
    identities: tuple[bytes, ...] = ()  # X25519 secret keys, for an encrypted image on which a new one builds

    @property
    def keys(self) -> Keys:
        """By what that is read."""
        passphrase = self.passphrase
        return Keys(self.identities, None if passphrase is None else lambda: passphrase)

    @property
    def encrypts(self) -> bool:
        """Whether the image is encrypted at all."""
        return bool(self.recipients) or self.passphrase is not None


@dataclass(frozen=True)
class Keys:
    """For reading: by what an encrypted image is decrypted, and whose signature it must have."""

    identities: tuple[bytes, ...] = ()  # X25519 secret keys
    passphrase: Callable[[], bytes] | None = None
    verifiers: tuple[bytes, ...] | None = None  # Ed25519 public keys, any of which will do
    plain_too: bool = False  # although there is a passphrase, an image may be one that is not encrypted


def lock(
    recipients: Sequence[Path] = (),
    passphrase: bytes | None = None,
    sign: Path | None = None,
    ask: Callable[[str], bytes] | None = None,
    identities: Sequence[Path] = (),
) -> Lock:
    """Reads the files of *recipients* (age1…, one a line) and the Ed25519 key *sign*; *ask* gives the passphrase of
    that, if it has one. *identities* are files as of :func:`unlock`, for an encrypted image on which a new one builds.

    Raises EnvironmentDiffers without the package, NotFound, TargetError and UsageError for files of other things.
    """
    if recipients or passphrase is not None or sign is not None:
        require_package()
    if recipients and passphrase is not None:
        raise UsageError("an image is encrypted either to keys or by a passphrase", "leave out one of them")
    if passphrase == b"":
        raise UsageError("an empty passphrase protects nothing", "choose one of several words")
    keys = [key for path in recipients for key in _recipients(path)]
    signer = None if sign is None else load_signer(sign, _content(sign), ask)
    return Lock(tuple(dict.fromkeys(keys)), passphrase, signer, unlock(identities).identities)


def unlock(
    identities: Sequence[Path] = (),
    passphrase: Callable[[], bytes] | None = None,
    require_signature: Path | None = None,
) -> Keys:
    """Reads the files of *identities* (AGE-SECRET-KEY-1…, one a line) and the Ed25519 public keys of
    *require_signature*. *passphrase* is called if an image needs it.

    Raises what :func:`lock` does.
    """
    if identities or passphrase is not None or require_signature is not None:
        require_package()
    found = [key for path in identities for key in _identities(path)]
    verifiers = None
    if require_signature is not None:
        verifiers = load_verifiers(require_signature, _content(require_signature))
    return Keys(tuple(dict.fromkeys(found)), passphrase, verifiers)


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(content) > _LARGEST:
        raise UsageError(f"{shown(path)}: too long for a file of keys", "see its name")
    return content


def _unreadable(path: Path, error: OSError) -> CrtoolError:
    if isinstance(error, FileNotFoundError):
        remedy = "to read it from standard input, name /dev/stdin" if path == "-" else "see the name of the key"
        return NotFound(f"{shown(path)}: no such file", remedy)
    return TargetError(f"{shown(path)}: the key cannot be read: {error.strerror}", "see its rights")


def _lines(path: Path) -> list[str]:
    """The lines that are not empty, and no comments."""
    content = _content(path)
    if content.startswith(_ENCRYPTED):
        # What it is protected by is age's affair, plugins among it.
        remedy = f"let age decrypt it on the way: <(age -d {shown(path)}) instead of its name"
        raise UsageError(f"{shown(path)}: the key is encrypted itself, by a passphrase", remedy)
    lines = content.decode(errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _recipients(path: Path) -> list[bytes]:
    if not (lines := _lines(path)):
        raise UsageError(f"{shown(path)}: there is no recipient in it", _MAKE_RECIPIENT)
    return [_recipient(line, path) for line in lines]


def _identities(path: Path) -> list[bytes]:
    if not (lines := _lines(path)):
        raise UsageError(f"{shown(path)}: there is no identity in it", "age-keygen makes one")
    return [_identity(line, path) for line in lines]


def _recipient(line: str, path: Path) -> bytes:
    if line.upper().startswith(_IDENTITY.upper()):
        return public_of(_identity(line, path))
    return _key(line, _RECIPIENT, path, f"no recipient of age ({_RECIPIENT}1…)", _MAKE_RECIPIENT)


def _identity(line: str, path: Path) -> bytes:
    what = f"no identity of age ({_IDENTITY.upper()}1…)"
    return _key(line, _IDENTITY, path, what, "age-keygen makes one")


def _key(line: str, prefix: str, path: Path, what: str, remedy: str) -> bytes:
    # What is in a file of keys is not to be seen in a message.
    try:
        found, key = bech32.decode(line)
    except ValueError:
        raise UsageError(f"{os.fsdecode(shown(path))}: {what}", remedy) from None
    if found != prefix or len(key) != _LENGTH:
        raise UsageError(f"{shown(path)}: {what}", remedy)
    return key
