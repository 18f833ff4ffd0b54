"""Bech32, in which keys of age are written: letters, digits and a checksum (BIP 173, without its limit of length)."""

from __future__ import annotations

__all__ = ["decode", "encode"]

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = 6  # letters


def encode(prefix: str, data: bytes) -> str:
    """*data* as text that begins with *prefix* and "1"."""
    values = _regrouped(data, 8, 5)
    check = _polymod([*_expanded(prefix), *values, *[0] * _CHECKSUM]) ^ 1
    values += [check >> 5 * (_CHECKSUM - 1 - place) & 31 for place in range(_CHECKSUM)]
    return f"{prefix}1{''.join(_LETTERS[value] for value in values)}"


def decode(text: str) -> tuple[str, bytes]:
    """The prefix, in lower case, and the data of *text*; ValueError if it is not right."""
    if text not in (text.lower(), text.upper()):
        raise ValueError("small and capital letters are mixed")
    prefix, one, rest = text.lower().rpartition("1")
    if not one or not prefix or len(rest) < _CHECKSUM or not set(rest) <= set(_LETTERS):
        raise ValueError("not bech32")
    values = [_LETTERS.index(letter) for letter in rest]
    if _polymod([*_expanded(prefix), *values]) != 1:
        raise ValueError("its checksum does not match")
    data = _regrouped(values[:-_CHECKSUM], 5, 8)
    if _regrouped(bytes(data), 8, 5) != values[:-_CHECKSUM]:
        raise ValueError("there is something where nothing may be")
    return prefix, bytes(data)


def _expanded(prefix: str) -> list[int]:
    return [*(ord(letter) >> 5 for letter in prefix), 0, *(ord(letter) & 31 for letter in prefix)]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if top >> bit & 1 else 0
    return check


def _regrouped(values: bytes | list[int], old: int, new: int) -> list[int]:
    """The bits of *values*, of *old* bits each, in groups of *new*; the last is filled up, or dropped."""
    found, bits, held = [], 0, 0
    for value in values:
        held, bits = held << old | value, bits + old
        while bits >= new:
            bits -= new
            found.append(held >> bits & (1 << new) - 1)
    if bits and new < old:
        found.append(held << new - bits & (1 << new) - 1)
    return found
