"""Data sets changed in a few places, by what a length, a tag or a VR may be overwritten with to do most harm."""

from __future__ import annotations

import random

_POISONS = (
    b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff", b"\0\0\0\0", b"\x01\0\0\0", b"\xff\xff\0\0", b"\0\0\0\x80",
    b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xe0\x7f\x10\x00", b"\x08\x00\x05\x00",
    b"SQ\0\0", b"UN\0\0", b"OB\0\0", b"US\x03\0", b"DS\x02\0", b"\x1b$)C", b"\\\\\\\\",
)  # fmt: skip

_WAYS = ("overwrite", "insert", "delete", "cut", "repeat")


def change(encoded: bytes, where: float, how: str, by: bytes) -> bytes:
    at = int(where * len(encoded))
    match how:
        case "overwrite":
            return encoded[:at] + by + encoded[at + len(by) :]
        case "insert":
            return encoded[:at] + by + encoded[at:]
        case "delete":
            return encoded[:at] + encoded[at + len(by) :]
        case "cut":
            return encoded[:at]
        case _:
            return encoded[:at] + encoded[at // 2 :]


def mutated(encoded: bytes, chance: random.Random) -> bytes:
    """Return a data set changed in up to four places."""
    for _ in range(chance.randint(0, 4)):
        by = chance.choice(_POISONS) if chance.random() < 0.5 else chance.randbytes(chance.randint(1, 12))
        encoded = change(encoded, chance.random(), chance.choice(_WAYS), by)
    return encoded
