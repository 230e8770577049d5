"""Keeps guessers of passwords slow: so many failures, then wait. Counted in the memory of this process."""

import math
import time
from typing import Final

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from app.errors import TooManySignIns

WINDOW_SECONDS: Final = 300
BREADTH: Final = 10
"""How many times more failures an address may have from everywhere, and a client for all addresses."""


class SignInLimit:
    """At most `failures` wrong passwords for one e-mail address from one client in five minutes; 0 means any number.

    Many clients together have ten times as many for an address, and one client ten times as many for all addresses: a whole
    company may be behind one. What is right is never counted. Several processes count apart.
    """

    def __init__(self, failures: int, *, window_seconds: int = WINDOW_SECONDS) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._narrow = RateLimitItemPerSecond(failures, window_seconds) if failures else None
        self._broad = RateLimitItemPerSecond(failures * BREADTH, window_seconds) if failures else None

    async def enter(self, email: str, client: str) -> None:
        """Before a password is looked at: counts as a failure until `forgive`. Raises `TooManySignIns`."""
        if self._narrow is None or self._broad is None:
            return
        email = email.lower()
        for key in (("address", email), ("client", client)):
            if not await self._limiter.test(self._broad, *key):
                await self._refuse(self._broad, *key)
        # In one step, so that attempts made at the same time are all counted.
        if not await self._limiter.hit(self._narrow, "pair", email, client):
            await self._refuse(self._narrow, "pair", email, client)

    async def blame(self, email: str, client: str) -> None:
        """The password was wrong."""
        if self._broad is not None:
            await self._limiter.hit(self._broad, "address", email.lower())
            await self._limiter.hit(self._broad, "client", client)

    async def forgive(self, email: str, client: str) -> None:
        """The password was right: this client's failures with this address are forgotten."""
        if self._narrow is not None:
            await self._limiter.clear(self._narrow, "pair", email.lower(), client)

    async def _refuse(self, limit: RateLimitItem, *key: str) -> None:
        window = await self._limiter.get_window_stats(limit, *key)
        raise TooManySignIns(retry_after=max(1, math.ceil(window.reset_time - time.time())))
