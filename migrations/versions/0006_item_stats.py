"""Count what everybody does with each item, for popular and trending lists."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "item_stats",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("interaction_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("velocity", sa.Float(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_item_stats_item_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_item_stats")),
    )
    op.create_index("ix_item_stats_popular", "item_stats", [sa.text("interaction_count DESC"), "item_id"])
    op.create_index("ix_item_stats_trending", "item_stats", [sa.text("velocity DESC"), "item_id"])


def downgrade() -> None:
    op.drop_table("item_stats")
