"""How many wrong passwords somebody may try."""

import asyncio

import pytest

from app.errors import TooManySignIns
from app.sign_in_limit import BREADTH, SignInLimit


def run(work):
    return asyncio.run(work)


async def fail(limit, email="ada@example.org", client="1.2.3.4"):
    await limit.enter(email, client)
    await limit.blame(email, client)


def test_after_so_many_failures_not_even_the_right_password_is_looked_at():
    async def work():
        limit = SignInLimit(3)
        for _ in range(3):
            await fail(limit)
        with pytest.raises(TooManySignIns) as refused:
            await limit.enter("ADA@example.org", "1.2.3.4")
        assert 290 <= refused.value.retry_after <= 300
        await limit.enter("ada@example.org", "5.6.7.8")
        await limit.enter("bob@example.org", "1.2.3.4")

    run(work())


def test_attempts_at_the_same_time_are_all_counted():
    async def work():
        limit = SignInLimit(3)
        outcomes = await asyncio.gather(*(limit.enter("a@b.org", "c") for _ in range(20)), return_exceptions=True)
        assert outcomes.count(None) == 3

    run(work())


def test_the_right_password_forgives():
    async def work():
        limit = SignInLimit(2)
        for _ in range(10):
            await fail(limit)
            await limit.enter("ada@example.org", "1.2.3.4")
            await limit.forgive("ada@example.org", "1.2.3.4")

    run(work())


@pytest.mark.parametrize("who", ["many clients and one address", "one client and many addresses"])
def test_spreading_failures_out_gains_little(who):
    async def work():
        limit = SignInLimit(2)
        is_many_clients = who.startswith("many")

        def pair(n):
            return {"client": str(n)} if is_many_clients else {"email": f"{n}@example.org"}

        for n in range(2 * BREADTH):
            await fail(limit, **pair(n))
        with pytest.raises(TooManySignIns):
            await fail(limit, **pair("new"))
        await fail(limit, email="other@example.org", client="elsewhere")

    run(work())


def test_it_can_be_off_and_ends_by_itself():
    async def work():
        off, short = SignInLimit(0), SignInLimit(1, window_seconds=1)
        for _ in range(50):
            await fail(off)
        await fail(short)
        with pytest.raises(TooManySignIns) as refused:
            await fail(short)
        await asyncio.sleep(refused.value.retry_after + 0.1)
        await fail(short)

    run(work())
