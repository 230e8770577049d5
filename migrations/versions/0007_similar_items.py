"""Store similar items, and let workers see when the catalogue has changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A row a statement instead of a counter: writers of items do not wait for each other. The count is part of the stamp because a
# transaction that commits late has a lower id than one that was seen before.
TRIGGER = """
CREATE FUNCTION note_catalogue_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalogue_changes DEFAULT VALUES;
    RETURN NULL;
END $$;
CREATE TRIGGER note_catalogue_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON items
    FOR EACH STATEMENT EXECUTE FUNCTION note_catalogue_change();
"""


def upgrade() -> None:
    op.create_table(
        "similar_items",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("model_version_id", sa.BigInteger(), nullable=True),
        sa.Column("entries", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_similar_items_item_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_similar_items_model_version_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_similar_items")),
    )
    op.create_index(op.f("ix_similar_items_model_version_id"), "similar_items", ["model_version_id"])
    op.create_table(
        "catalogue_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue_changes")),
    )
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER note_catalogue_change ON items")
    op.execute("DROP FUNCTION note_catalogue_change")
    op.drop_table("catalogue_changes")
    op.drop_table("similar_items")
