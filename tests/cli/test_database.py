"""The migrations make exactly the tables of the code, and can be taken back."""

import psycopg
from alembic import command

from cli.database import alembic_config, upgrade
from core import messages


def test_the_migrations_make_the_tables_of_the_code(database_url):
    command.check(alembic_config(database_url))


def test_upgrading_twice_changes_nothing(database_url, connection):
    upgrade(database_url)
    assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_the_schema_can_be_taken_back_and_made_again(postgres):
    url = postgres.ensure_database("migrated")
    upgrade(url)
    command.downgrade(alembic_config(url), "base")
    with psycopg.connect(url) as connection:
        left = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        functions = connection.execute("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace").fetchall()
    assert (left, functions) == ([("alembic_version",)], [])
    upgrade(url)


def test_lists_of_the_old_form_are_made_anew_after_the_upgrade(postgres):
    url = postgres.ensure_database("lists_of_the_old_form")
    command.upgrade(alembic_config(url), "0008")
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO users (id) VALUES ('u1')")
        connection.execute("INSERT INTO items (id, title) SELECT 'm' || n, 'Film' FROM generate_series(1, 3) n")
        connection.execute(
            "INSERT INTO model_versions (algorithm, artifact, artifact_bytes, training_seconds, status) VALUES ('als', 'x', 1, 1, 'live')"
        )
        connection.execute(
            "INSERT INTO recommendation_lists (user_id, list_id, entries, is_cold, history_count)"
            " VALUES ('u1', gen_random_uuid(), '[]', false, 0)"
        )
    upgrade(url)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM recommendation_lists").fetchone() == (0,)
        kind, version, payload, state = connection.execute("SELECT kind, payload_version, payload, state FROM tasks").fetchone()
        assert (messages.parse(kind, version, payload), state) == (messages.RefreshListsPayload(), "queued")
        assert connection.execute("SELECT count(DISTINCT number) FROM items WHERE number > 0").fetchone() == (3,)
