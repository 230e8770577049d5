"""Alembic's entry: migrates the database whose URL the caller put into the configuration."""

from alembic import context
from sqlalchemy import NullPool, create_engine
from sqlmodel import SQLModel

import core.list_tables  # noqa: F401  (with what it imports, fills the metadata)

url = context.config.attributes["database_url"].replace("postgresql://", "postgresql+psycopg://", 1)

with create_engine(url, poolclass=NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=SQLModel.metadata, compare_type=True, compare_server_default=False)
    with context.begin_transaction():
        context.run_migrations()
