"""The shape of the ids that clients choose for users and items."""

from typing import Annotated

from pydantic import Field

EntityId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@~-]*$")]
"""1 to 128 characters that need no escaping in a URL."""
