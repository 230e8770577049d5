"""What texts must look like, as patterns for programs and in words for people."""

from typing import Final

from core.identifiers import ENTITY_ID

CURSOR: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[0-9]{1,4}$"
"""The id of a list and a place in it."""
EXPERIMENT: Final = r"^[a-z0-9][a-z0-9-]{0,63}$"
SCHEDULE: Final = r"^[a-z0-9][a-z0-9_-]{0,62}$"
KEY: Final = r"^[\x21-\x7e]+$"
EVENT_ID: Final = r"^[0-9]{1,18}$"
WEB_ADDRESS: Final = r"^https?://[^\s]+$"

_WORDS: Final = {
    ENTITY_ID: "may have letters, digits and . _ : @ ~ - only, and begins with a letter or a digit",
    CURSOR: "is no cursor of a list; send the `next_cursor` of an answer",
    EXPERIMENT: "may have 64 lower-case letters, digits and - at most, and begins with a letter or a digit",
    SCHEDULE: "may have 63 lower-case letters, digits, _ and - at most, and begins with a letter or a digit",
    KEY: "may have ASCII characters without spaces only",
    EVENT_ID: "is the id of no event; send the last `id` that was received, or none",
    WEB_ADDRESS: "must be an address that begins with http:// or https://",
}


def in_words(pattern: str) -> str | None:
    """What a text that does not match the pattern may be; None if nobody has put it into words."""
    return _WORDS.get(pattern)
