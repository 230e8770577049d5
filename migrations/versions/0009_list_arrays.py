"""Number the items, and store lists as arrays of numbers instead of documents."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

LISTS = ("recommendation_lists", "similar_items")
COLUMNS = {
    "item_numbers": sa.Integer(),
    "scores": sa.REAL(),
    "kinds": sa.SmallInteger(),
    "reason_items": sa.Integer(),
    "reason_categories": sa.Text(),
}

# Lists are computed, not told: those there are in the other form are dropped and made anew by a task.
REFRESH = """
INSERT INTO tasks (kind, queue, payload, payload_version, owner, request_hash, max_attempts)
SELECT 'refresh_lists', 'batch', '{}', 1, 'migration', '0009', 3
WHERE EXISTS (SELECT FROM recommendation_lists) AND EXISTS (SELECT FROM model_versions WHERE status = 'live')
"""


def upgrade() -> None:
    op.add_column("items", sa.Column("number", sa.Integer(), sa.Identity(always=True), nullable=False))
    op.create_unique_constraint(op.f("uq_items_number"), "items", ["number"])
    op.execute(REFRESH)
    for table in LISTS:
        op.execute(f"TRUNCATE {table}")
        op.drop_column(table, "entries")
        for name, kind in COLUMNS.items():
            op.add_column(table, sa.Column(name, postgresql.ARRAY(kind), nullable=False))
        # Whole rows in one page, as they are: to compress numbers costs more than it saves.
        op.execute(f"ALTER TABLE {table} SET (toast_tuple_target = 8160)")
        for name in COLUMNS:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {name} SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.execute(REFRESH)
    for table in LISTS:
        op.execute(f"TRUNCATE {table}")
        for name in COLUMNS:
            op.drop_column(table, name)
        op.execute(f"ALTER TABLE {table} RESET (toast_tuple_target)")
        op.add_column(table, sa.Column("entries", postgresql.JSONB(astext_type=sa.Text()), nullable=False))
    op.drop_constraint(op.f("uq_items_number"), "items")
    op.drop_column("items", "number")
