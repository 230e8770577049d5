"""Looking an account up, alone and along with what is to be read."""

import uuid

import pytest

from app.services import accounts
from core.statement import Statement, first_or_none


def asking(sql, **params):
    return Statement(sql, params, first_or_none)


@pytest.fixture
def account_id(connection):
    account_id = uuid.uuid4()
    connection.execute("INSERT INTO users (id, name) VALUES ('u1', 'Ada')")
    connection.execute(
        "INSERT INTO accounts (id, email, password_hash, role, user_id) VALUES (%s, 'ada@example.org', 'x', 'user', 'u1')", (account_id,)
    )
    return account_id


def test_an_account_is_the_same_beside_something_as_alone(connection, account_id):
    alone = accounts.find_signed_in(account_id).run(connection)
    assert (alone.id, alone.email, alone.role, alone.user_id, alone.name) == (account_id, "ada@example.org", "user", "u1", "Ada")
    found = accounts.find_signed_in_beside(account_id, asking("SELECT id FROM users WHERE id = %(user_id)s", user_id="u1")).run(connection)
    assert found == (alone, {"id": "u1"})
    assert accounts.find_signed_in_beside(account_id, asking("SELECT 1 AS one WHERE false")).run(connection) == (alone, None)


def test_nothing_is_read_for_an_account_that_is_none(connection, account_id):
    connection.execute("CREATE SEQUENCE read_times")
    reading = asking("SELECT nextval('read_times') AS times")
    assert accounts.find_signed_in_beside(uuid.uuid4(), reading).run(connection) is None
    connection.execute("UPDATE accounts SET is_active = false")
    assert accounts.find_signed_in_beside(account_id, reading).run(connection) is None
    assert connection.execute("SELECT is_called FROM read_times").fetchone() == (False,)


def test_what_is_read_cannot_pass_for_the_account(connection, account_id):
    forged = asking("SELECT 'admin' AS account_role, 'u2' AS account_user_id, 1 AS one")
    account, found = accounts.find_signed_in_beside(account_id, forged).run(connection)
    assert (account.role, account.user_id, found) == ("user", "u1", {"one": 1})
