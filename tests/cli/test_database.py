"""The migrations make exactly the tables of the code, and can be taken back."""

import psycopg
from alembic import command

from cli.database import alembic_config, upgrade


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
