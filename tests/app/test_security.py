"""Hashes and tokens."""

import asyncio
import base64
import json
import secrets
import time
import uuid

import pytest
from jose import jwt

from app.errors import NotAuthenticated
from app.security import AUDIENCE, ISSUER, AccessTokens, Passwords, new_refresh_token, token_hash

SECRET = secrets.token_hex(32)
ACCOUNT = uuid.uuid4()
TOKENS = AccessTokens(SECRET, lifetime_seconds=60)


def claims(**changes):
    now = int(time.time())
    made = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(ACCOUNT), "iat": now, "exp": now + 60, "typ": "access", **changes}
    return {name: value for name, value in made.items() if value is not None}


def signed(*, secret=SECRET, algorithm="HS256", **changes):
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


def unsigned(header):
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims())]
    return ".".join((*parts, ""))


def test_a_token_speaks_for_its_account():
    assert TOKENS.account_id(TOKENS.issue(ACCOUNT)) == ACCOUNT
    assert TOKENS.account_id(signed()) == ACCOUNT


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(exp=int(time.time()) - 1), id="expired"),
        pytest.param(signed(exp=None), id="without end"),
        pytest.param(signed(exp="soon"), id="odd end"),
        pytest.param(signed(sub=None), id="without account"),
        pytest.param(signed(sub="ada"), id="odd account"),
        pytest.param(signed(iss=None), id="without issuer"),
        pytest.param(signed(iss="somebody"), id="other issuer"),
        pytest.param(signed(aud=None), id="without audience"),
        pytest.param(signed(aud="other"), id="other audience"),
        pytest.param(signed(typ=None), id="without type"),
        pytest.param(signed(typ="refresh"), id="other type"),
        pytest.param(signed(secret="x" * 64), id="other secret"),
        pytest.param(signed(algorithm="HS512"), id="other algorithm"),
        pytest.param(unsigned({"alg": "none", "typ": "JWT"}), id="none"),
        pytest.param(unsigned({"alg": "HS256"}), id="empty signature"),
        pytest.param(unsigned({"alg": "RS256"}), id="asymmetric"),
        pytest.param(unsigned([]), id="odd header"),
        pytest.param(signed()[:-2], id="cut"),
        pytest.param("a.b.c", id="noise"),
        pytest.param("..", id="dots"),
        pytest.param("", id="empty"),
        pytest.param("é.é.é", id="beyond ASCII"),
        pytest.param("x" * 100_000, id="long"),
    ],
)
def test_anything_else_is_refused(token):
    with pytest.raises(NotAuthenticated):
        TOKENS.account_id(token)


def test_a_changed_claim_breaks_the_signature():
    header, _, signature = TOKENS.issue(ACCOUNT).split(".")
    forged = base64.urlsafe_b64encode(json.dumps(claims(sub=str(uuid.uuid4()))).encode()).rstrip(b"=").decode()
    with pytest.raises(NotAuthenticated):
        TOKENS.account_id(f"{header}.{forged}.{signature}")


def test_passwords_are_salted_and_verified():
    async def work():
        passwords = Passwords()
        first, second = await passwords.hash("correct horse"), await passwords.hash("correct horse")
        assert first != second
        assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        return [
            await passwords.verify(given, stored) for given, stored in (("correct horse", first), ("wrong", first), ("correct horse", None))
        ]

    assert asyncio.run(work()) == [True, False, False]


def test_hashing_leaves_the_event_loop_free():
    async def work():
        passwords, ticks = Passwords(concurrency=1), 0
        hashing = asyncio.gather(*(passwords.hash("x") for _ in range(6)))
        while not hashing.done():
            await asyncio.sleep(0.001)
            ticks += 1
        return ticks

    assert asyncio.run(work()) > 20


def test_refresh_tokens_are_random_and_kept_as_hashes():
    token = new_refresh_token()
    assert len(token) == 43
    assert token != new_refresh_token()
    assert token_hash(token) == token_hash(token) != token
