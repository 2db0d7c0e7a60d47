"""Text whose character set nobody declared: a result writes it with the very bytes it came in.

Such bytes mean what the hospital's viewers take them for. Decoded by a guess and written in another set, a
name on a result would read differently from the same name on its images.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

from node.results.header import CONTEXT_KEYWORDS, IDENTITY_KEYWORDS

_COPIED = frozenset((*IDENTITY_KEYWORDS, *CONTEXT_KEYWORDS))
_ASCII_ALONE = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})  # PS3.3 C.12.1.1.2
_SPELLED = ("+/-", "-", "-", "x", "u", "u", "...", "<=", ">=")
# Plus-minus, dashes, multiplication, micro (a sign and a letter), ellipsis, at most, at least.
_IN_ASCII = str.maketrans(dict(zip("\xb1\u2013\u2014\xd7\xb5\u03bc\u2026\u2264\u2265", _SPELLED, strict=True)))


def keep_undeclared_text(result: Dataset, source: Dataset) -> None:
    """Declare no character set where the source declares none and has text beyond ASCII; our own words become ASCII.

    pydicom reads and writes such text byte for byte (as Latin-1), so source and result hold the same bytes.
    """
    if not _declares_nothing(source) or all(_is_ascii(result.get(keyword)) for keyword in _COPIED):
        return
    del result.SpecificCharacterSet
    for element in result.iterall():
        if element.VR in CUSTOMIZABLE_CHARSET_VR and element.keyword not in _COPIED and not _is_ascii(element.value):
            element.value = _in_ascii(element.value)


def _declares_nothing(source: Dataset) -> bool:
    stated = source.get("SpecificCharacterSet")
    return (stated if isinstance(stated, str) else "" if stated is None else "\\".join(stated)) in _ASCII_ALONE


def _is_ascii(value: Any) -> bool:
    return str(value).isascii()


def _in_ascii(value: Any) -> Any:
    if isinstance(value, MultiValue):
        return [_in_ascii(one) for one in value]
    plain = unicodedata.normalize("NFKD", str(value).translate(_IN_ASCII))
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).encode("ascii", "replace").decode()
