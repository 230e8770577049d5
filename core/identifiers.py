"""The shape of the ids that clients choose for users and items."""

from typing import Annotated, Final

from pydantic import Field

ENTITY_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._:@~-]*$"
EntityId = Annotated[str, Field(min_length=1, max_length=128, pattern=ENTITY_ID)]
"""1 to 128 characters that need no escaping in a URL."""
