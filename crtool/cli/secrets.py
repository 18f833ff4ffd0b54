"""Options about keys and passphrases, for the verbs that write images and those that read them.

A passphrase comes from a terminal, a file or a descriptor, never from an argument: ps(1) shows those to everybody.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

import click

from crtool.cli.options import PATH
from crtool.errors import UsageError

if TYPE_CHECKING:
    from crtool.image.keys import Keys, Lock

__all__ = ["SECRETS", "key_options", "lock_and_key_options", "lock_options"]

_LONGEST = 4096  # of a passphrase, bytes

SECRETS = (
    "SECRETS",
    "An image holds the memory of its processes, passwords and keys among it. With --encrypt-to it is encrypted, "
    "every byte of it, so that only those can read it who have one of the keys: FILE has recipients, one a line, as "
    "age(1) writes them (age-keygen makes keys), and reading takes --identity with the secret part. With --passphrase, "
    "--passphrase-file or --passphrase-fd it is a passphrase instead. Decrypted pages are in memory only. An encrypted "
    "image is a file of age: age -d gives the plain image. With --sign it is signed by an Ed25519 key, as ssh-keygen "
    "makes it, whose passphrase comes from the terminal, from --key-passphrase-file or from --key-passphrase-fd; "
    "--require-signature refuses whatever is not signed by the key that goes with FILE. All of this wants "
    "the package cryptography (pip install 'crtool[crypto]').",
)

_ENCRYPT = click.option(
    "--encrypt-to",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="Encrypt it to the recipients (age1...) in FILE.",
)
_SIGN = (
    click.option("--sign", type=PATH, metavar="FILE", help="Sign the image by the Ed25519 key in FILE."),
    click.option(
        "--key-passphrase-file",
        type=PATH,
        metavar="FILE",
        help="The passphrase of the key of --sign is the first line of FILE.",
    ),
    click.option(
        "--key-passphrase-fd",
        type=click.IntRange(min=0),
        metavar="N",
        help="The passphrase of that key is a line from descriptor N.",
    ),
)
_IDENTITY = click.option(
    "--identity",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="Decrypt it by a key (AGE-SECRET-KEY-1...) in FILE.",
)
_PARENT_IDENTITY = click.option(
    "--identity", type=PATH, multiple=True, metavar="FILE", help="Decrypt the --parent by a key in FILE."
)
_REQUIRE = click.option(
    "--require-signature",
    type=PATH,
    metavar="FILE",
    help="Refuse an image that is not signed by a public key in FILE.",
)
_PASSPHRASE = (
    click.option("--passphrase", is_flag=True, help="Ask for a passphrase that encrypts the image, on the terminal."),
    click.option(
        "--passphrase-file", type=PATH, metavar="FILE", help="The passphrase is the first line of FILE."
    ),
    click.option(
        "--passphrase-fd", type=click.IntRange(min=0), metavar="N", help="Its passphrase is a line from descriptor N."
    ),
)


def lock_options(function: Callable[..., Any]) -> Any:
    """For a verb that writes an image: gives it *lock*, None without any of these options."""

    @wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        passphrase = _source_of_passphrase(options, twice=True)
        identities = options.pop("identity")
        return function(*args, lock=_lock(options, passphrase, identities), **options)

    return _with(wrapper, (_ENCRYPT, _PARENT_IDENTITY, *_PASSPHRASE, *_SIGN))


def key_options(function: Callable[..., Any]) -> Any:
    """For a verb that reads images: gives it *keys*, None without any of these options."""

    @wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        passphrase = _source_of_passphrase(options, twice=False)
        return function(*args, keys=_keys(options, passphrase), **options)

    return _with(wrapper, (_IDENTITY, *_PASSPHRASE, _REQUIRE))


def lock_and_key_options(is_new: Callable[[dict[str, Any]], bool]) -> Callable[[Callable[..., Any]], Any]:
    """For a verb that does both: gives it *lock* and *keys*, which have one passphrase.

    *is_new*: whether, with these options, no image will show that the passphrase was mistyped.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def wrapper(*args: Any, **options: Any) -> Any:
            twice = bool(options["passphrase"]) and is_new(options)
            passphrase = _source_of_passphrase(options, twice=twice)
            lock, keys = _lock(options, passphrase), _keys(options, passphrase)
            return function(*args, lock=lock, keys=keys, **options)

        return _with(wrapper, (_ENCRYPT, _IDENTITY, *_PASSPHRASE, *_SIGN, _REQUIRE))

    return decorate


def _with(function: Any, options: tuple[Any, ...]) -> Any:
    for option in reversed(options):
        function = option(function)
    return function


def _lock(
    options: dict[str, Any], passphrase: Callable[[], bytes] | None, identities: tuple[str, ...] = ()
) -> Lock | None:
    recipients, sign = options.pop("encrypt_to"), options.pop("sign")
    of_key = _source_of_key_passphrase(options, sign)
    if not recipients and sign is None and passphrase is None and not identities:
        return None
    from crtool.image.keys import lock  # noqa: PLC0415 - seldom needed

    if recipients and passphrase is not None:
        raise UsageError("an image is encrypted either to keys or by a passphrase", "leave out one of them")
    return lock(recipients, None if passphrase is None else passphrase(), sign, of_key, identities)


def _source_of_key_passphrase(options: dict[str, Any], sign: str | None) -> Callable[[str], bytes]:
    """Takes the options about the passphrase of the key *sign* out of *options*; returns what is asked for it."""
    path, fd = (options.pop(name) for name in ("key_passphrase_file", "key_passphrase_fd"))
    if path is not None and fd is not None:
        raise UsageError("the passphrase of the key comes from several places", "give one of them")
    if sign is None and (path is not None or fd is not None):
        raise UsageError("a passphrase of a key is given, and no key", "name it with --sign")
    if path is not None:
        return lambda what: _from_file(path)
    if fd is not None:
        return lambda what: _first_line(fd, f"descriptor {fd}")
    return lambda what: _ask(what, instead="--key-passphrase-file or --key-passphrase-fd")


def _keys(options: dict[str, Any], passphrase: Callable[[], bytes] | None) -> Keys | None:
    identities, required = options.pop("identity"), options.pop("require_signature")
    if not identities and required is None and passphrase is None:
        return None
    from crtool.image.keys import unlock  # noqa: PLC0415 - seldom needed

    return unlock(identities, passphrase, required)


def _source_of_passphrase(options: dict[str, Any], *, twice: bool) -> Callable[[], bytes] | None:
    """Takes the options about passphrases out of *options*; returns what asks for it, once, when it is needed."""
    ask, path, fd = (options.pop(name) for name in ("passphrase", "passphrase_file", "passphrase_fd"))
    if ask + (path is not None) + (fd is not None) > 1:
        raise UsageError("the passphrase comes from several places", "give one of them")
    if path is not None:
        return cache(lambda: _from_file(path))
    if fd is not None:
        if fd == 0 and options.get("image") == "-":
            raise UsageError("both the image and its passphrase come from standard input", "use another descriptor")
        return cache(lambda: _first_line(fd, f"descriptor {fd}"))
    if not ask:
        return None
    return cache(lambda: _ask("Passphrase of the image", twice=twice))


def _from_file(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "see the name of the file with the passphrase") from None
    try:
        return _first_line(fd, path)
    finally:
        os.close(fd)


def _first_line(fd: int, name: str) -> bytes:
    """A line, of which no byte more is read: others may want what follows."""
    line = bytearray()
    try:
        while len(line) <= _LONGEST and (byte := os.read(fd, 1)) not in (b"", b"\n"):
            line += byte
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}", "give a descriptor that the shell has opened") from None
    if not line or len(line) > _LONGEST:
        raise UsageError(f"{name}: there is no passphrase", "its first line is taken")
    return bytes(line.removesuffix(b"\r"))


def _ask(what: str, *, twice: bool = False, instead: str = "--passphrase-file or --passphrase-fd") -> bytes:
    """Asks on the terminal, whatever the standard streams are. *instead*: the options for who has none."""
    from getpass import getpass  # noqa: PLC0415

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise UsageError("there is no terminal to ask for the passphrase", f"give it by {instead}") from None
    found = getpass(f"{what}: ")
    if twice and getpass(f"{what}, once more: ") != found:
        raise UsageError("that was not the same twice", "try again")
    return os.fsencode(found)
