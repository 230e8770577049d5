"""Password hashes, signed access tokens and opaque refresh tokens."""

import asyncio
import hashlib
import secrets
import time
import uuid
from typing import Any, Final

from jose import jwt
from jose.exceptions import JOSEError
from passlib.hash import argon2

from app.errors import NotAuthenticated

ALGORITHM: Final = "HS256"
ISSUER: Final = "marquee"
AUDIENCE: Final = "marquee-api"
TYPE: Final = "access"
REQUIRED_CLAIMS: Final = {f"require_{claim}": True for claim in ("exp", "sub", "aud", "iss")}

# OWASP's password storage cheat sheet: argon2id with 19 MiB, two passes, one lane.
_HASHER: Final = argon2.using(type="ID", memory_cost=19 * 1024, time_cost=2, parallelism=1)


class Passwords:
    """Argon2 off the event loop; at most `concurrency` at once, so that a flood of sign-ins leaves cores for the rest."""

    def __init__(self, *, concurrency: int = 2) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._nobody = _HASHER.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """A salted hash to be stored."""
        async with self._slots:
            return str(await asyncio.to_thread(_HASHER.hash, password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password belongs to the stored hash; None, for an account there is not, costs the same work."""
        async with self._slots:
            matches = await asyncio.to_thread(_HASHER.verify, password, stored or self._nobody)
        return bool(matches) and stored is not None


class AccessTokens:
    """Signed statements "this is account so-and-so" that are good for some minutes."""

    def __init__(self, secret: str, *, lifetime_seconds: int) -> None:
        self._secret = secret
        self.lifetime_seconds = lifetime_seconds

    def issue(self, account_id: uuid.UUID) -> str:
        """A token for the account, good from now on."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(account_id), "iat": now, "exp": now + self.lifetime_seconds, "typ": TYPE}
        return str(jwt.encode(claims, self._secret, algorithm=ALGORITHM))

    def account_id(self, token: str) -> uuid.UUID:
        """The account a token speaks for. Raises `NotAuthenticated`."""
        claims = self._verified(token)
        if claims.get("typ") != TYPE:
            raise NotAuthenticated("This is not an access token.")
        try:
            return uuid.UUID(claims["sub"])
        except ValueError:
            raise NotAuthenticated("The access token names no account.") from None

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            return dict(
                jwt.decode(token, self._secret, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=dict(REQUIRED_CLAIMS))
            )
        except (JOSEError, ValueError):
            raise NotAuthenticated("The access token is damaged, forged or expired.") from None


def new_refresh_token() -> str:
    """256 random bits for the client to keep; the database keeps `token_hash` of it."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """SHA-256 of a token: enough for something random, and useless to whoever reads the table."""
    return hashlib.sha256(token.encode()).hexdigest()
