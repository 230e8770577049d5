"""What counts as an e-mail address: well-formed, also inside a private network (`admin@marquee.local`)."""

from typing import Annotated, Any

import email_validator
from email_validator import EmailNotValidError
from pydantic import AfterValidator, Field

# Names that mean nothing on the internet are what private networks use; the library offers this list for changing.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def normalized_email(address: str) -> str:
    """The address in its normal form. Raises `ValueError` with the reason if it is none."""
    try:
        return email_validator.validate_email(address, check_deliverability=False, globally_deliverable=False).normalized
    except EmailNotValidError as error:
        raise ValueError(f"is not an e-mail address: {str(error).rstrip('.')}") from None


def _schema(schema: dict[str, Any]) -> None:
    schema["format"] = "email"


Email = Annotated[str, Field(max_length=254, json_schema_extra=_schema), AfterValidator(normalized_email)]
