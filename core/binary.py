"""PostgreSQL's binary COPY format, as far as it is written here: rows of fields, each behind its length, in network order."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

BEGIN: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
END: Final = b"\xff\xff"

INT2: Final = 21
INT4: Final = 23
TEXT: Final = 25
FLOAT4: Final = 700
"""Types of array elements, by the numbers PostgreSQL has for them."""

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def row(*fields: bytes | None) -> bytes:
    """A row; None is NULL."""
    parts = [struct.pack(">h", len(fields))]
    for field in fields:
        parts.append(b"\xff\xff\xff\xff" if field is None else len(field).to_bytes(4))
        if field:
            parts.append(field)
    return b"".join(parts)


def int4(number: int) -> bytes:
    return number.to_bytes(4, signed=True)


def int8(number: int | None) -> bytes | None:
    return None if number is None else number.to_bytes(8, signed=True)


def boolean(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def timestamp(moment: datetime | None) -> bytes | None:
    """A `timestamptz`: microseconds since 2000."""
    if moment is None:
        return None
    since = moment - _EPOCH
    return int8((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def array(element: int, elements: bytes, count: int) -> bytes:
    """An array of `count` elements without NULL, given each behind its length."""
    return struct.pack(">iiiii", 1, 0, element, count, 1) + elements if count else struct.pack(">iii", 0, 0, element)


def texts(words: Sequence[str]) -> bytes:
    """A `text[]`."""
    encoded = [word.encode() for word in words]
    return array(TEXT, b"".join(len(word).to_bytes(4) + word for word in encoded), len(encoded))
