"""What counts as an e-mail address."""

import pytest
from pydantic import TypeAdapter, ValidationError

from app.addresses import Email, normalized_email


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("Ada@EXAMPLE.org", "Ada@example.org"),
        ("admin@marquee.local", "admin@marquee.local"),
        ("a@localhost", "a@localhost"),
        ("ü@müller.de", "ü@müller.de"),
    ],
)
def test_addresses_get_their_normal_form(given, normal):
    assert normalized_email(given) == normal


@pytest.mark.parametrize(
    "given", ["", "ada", "@example.org", "ada@", "a b@example.org", "Ada <ada@example.org>", "a@b@c", "a@-b", "a\x00@b.c", "a@b\n"]
)
def test_what_is_none_is_refused_with_the_reason(given):
    with pytest.raises(ValueError, match="is not an e-mail address: "):
        normalized_email(given)


def test_the_type_says_what_it_is():
    adapter = TypeAdapter(Email)
    assert adapter.json_schema() == {"type": "string", "maxLength": 254, "format": "email"}
    with pytest.raises(ValidationError):
        adapter.validate_python("a" * 250 + "@b.org")
