"""Registering, signing in and staying signed in, over HTTP."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

ADA = {"email": "Ada@Example.org", "password": "correct horse", "name": "Ada", "preferred_categories": ["Comedy", "Comedy"]}


@pytest.fixture
def register(client):
    def post(**changes):
        return client.post("/api/v1/auth/register", json={**ADA, **changes})

    return post


@pytest.fixture
def sign_in(client):
    def post(email=ADA["email"], password=ADA["password"], **more):
        return client.post("/api/v1/auth/token", data={"username": email, "password": password, **more})

    return post


@pytest.fixture
def refresh(client):
    return lambda token: client.post("/api/v1/auth/refresh", json={"refresh_token": token})


def test_registering_makes_an_account_and_its_user(register, sign_in, client, connection):
    registered = register()
    assert registered.status_code == 201, registered.text
    account = registered.json()
    assert (account["email"], account["role"], account["name"]) == ("Ada@example.org", "user", "Ada")
    assert account["user_id"].startswith("u-")
    assert datetime.fromisoformat(account["created_at"]).tzinfo is not None
    stored = connection.execute("SELECT name, preferred_categories FROM users WHERE id = %s", (account["user_id"],)).fetchone()
    assert stored == ("Ada", ["Comedy"])

    tokens = sign_in().json()
    me = client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert me.json() == account


def test_passwords_are_stored_as_argon2_hashes(register, connection):
    register()
    (stored,) = connection.execute("SELECT password_hash FROM accounts").fetchone()
    assert stored.startswith("$argon2id$")


def test_an_address_registers_once_in_any_case(register):
    assert register().status_code == 201
    again = register(email="ada@EXAMPLE.org")
    assert again.status_code == 409
    assert again.json()["type"] == "/problems/email-taken"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b" + "x" * 300}, "email"),
        ({"email": 7}, "email"),
        ({"email": "a\x00@example.org"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"password": "eight\x00chars"}, "password"),
        ({"name": ""}, "name"),
        ({"name": "\x00"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"preferred_categories": "Comedy"}, "preferred_categories"),
        ({"preferred_categories": ["Comedy", 1]}, "preferred_categories.1"),
        ({"preferred_categories": ["x"] * 51}, "preferred_categories"),
        ({"role": "admin"}, "role"),
    ],
)
def test_a_wrong_field_is_named(register, complaint, changes, field):
    assert list(complaint(register(**changes))) == [field]


def test_missing_fields_are_all_named(client, complaint):
    assert complaint(client.post("/api/v1/auth/register", json={})) == {"email": "Field required", "password": "Field required"}


def test_tokens_are_not_to_be_cached_and_tell_their_life(register, sign_in):
    register()
    answer = sign_in("ADA@example.org", grant_type="password", scope="")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 15 * 60)


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer_after_the_same_work(register, sign_in):
    register()

    def ask(email):
        began = time.process_time()  # work and not time: a busy machine makes neither more nor less of it
        answer = sign_in(email, "wrong password")
        return answer, time.process_time() - began

    wrong, unknown = [ask(ADA["email"]) for _ in range(8)], [ask("nobody@example.org") for _ in range(8)]
    bodies = [{**answer.json(), "correlation_id": ""} for answer, _ in (wrong[0], unknown[0])]
    assert wrong[0][0].status_code == unknown[0][0].status_code == 401
    assert wrong[0][0].headers["www-authenticate"] == "Bearer"
    assert bodies[0] == bodies[1]
    ratio = statistics.median(took for _, took in wrong) / statistics.median(took for _, took in unknown)
    assert 0.4 < ratio < 2.5  # without the dummy hash it is about 10


def test_an_account_that_is_not_active_neither_signs_in_nor_speaks(register, sign_in, connection, client, refresh):
    register()
    tokens = sign_in().json()
    connection.execute("UPDATE accounts SET is_active = false")
    assert sign_in().status_code == 401
    assert refresh(tokens["refresh_token"]).status_code == 401
    me = client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert (me.status_code, me.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    "form", [{}, {"username": "a@example.org"}, {"username": "a\x00", "password": "x"}, {"username": "x" * 300, "password": "x"}]
)
def test_a_sign_in_that_cannot_be_one_is_invalid(client, complaint, form):
    assert complaint(client.post("/api/v1/auth/token", data=form)).keys() <= {"username", "password"}


def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_family(register, sign_in, refresh, client):
    register()
    first = sign_in().json()["refresh_token"]
    second = refresh(first)
    assert second.status_code == 200
    third = refresh(second.json()["refresh_token"]).json()["refresh_token"]

    other_family = sign_in().json()["refresh_token"]
    stolen = refresh(first)
    assert (stolen.status_code, stolen.json()["type"]) == (401, "/problems/refresh-token-refused")
    assert refresh(third).status_code == 401
    assert refresh(other_family).status_code == 200


def test_of_two_who_show_a_refresh_token_at_once_none_stays_signed_in(register, sign_in, refresh):
    register()
    token = sign_in().json()["refresh_token"]
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(refresh, [token] * 4))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    (fresh,) = (answer.json()["refresh_token"] for answer in answers if answer.status_code == 200)
    assert refresh(fresh).status_code == 401


def test_of_those_who_register_an_address_at_once_one_succeeds(register, connection):
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(lambda _: register(), range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert connection.execute("SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM users)").fetchone() == (1, 1)


def test_an_expired_or_unknown_refresh_token_is_refused(register, sign_in, refresh, connection):
    register()
    token = sign_in().json()["refresh_token"]
    connection.execute("UPDATE refresh_tokens SET expires_at = now() - interval '1 second'")
    assert refresh(token).status_code == 401
    assert refresh("nonsense").status_code == 401


def test_what_is_long_expired_is_swept(register, sign_in, connection):
    register()
    sign_in()
    connection.execute("UPDATE refresh_tokens SET expires_at = now() - interval '2 days'")
    sign_in()
    assert connection.execute("SELECT count(*) FROM refresh_tokens").fetchone() == (1,)


def test_signing_out_ends_the_family_and_never_fails(register, sign_in, refresh, client):
    register()
    token = sign_in().json()["refresh_token"]
    for known_or_not in (token, token, "nonsense"):
        answer = client.post("/api/v1/auth/logout", json={"refresh_token": known_or_not})
        assert (answer.status_code, answer.content) == (204, b"")
    assert refresh(token).status_code == 401


def test_no_token_says_how_to_send_one(client):
    for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
        answer = client.get("/api/v1/auth/me", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["type"] == "/problems/not-authenticated"


def test_the_token_of_an_account_that_is_gone_is_refused(visitor, connection):
    assert visitor.get("/auth/me").status_code == 200
    connection.execute("DELETE FROM accounts")
    assert visitor.get("/auth/me").status_code == 401


def test_a_guesser_is_told_to_wait_and_others_are_not(register, sign_in, client):
    register()
    register(email="bob@example.org")
    limit = client.app.state.services.settings.sign_in_failures
    assert {sign_in(password="a wrong guess").status_code for _ in range(limit)} == {401}
    refused = sign_in()
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-sign-ins")
    assert 1 <= int(refused.headers["retry-after"]) <= 300
    assert sign_in("bob@example.org").status_code == 200
    told = client.get("/metrics").text
    for outcome, count in (("failed", limit), ("limited", 1), ("succeeded", 1)):
        assert f'marquee_sign_ins_total{{outcome="{outcome}"}} {count}.0' in told
