"""Remember what was shown and what came of it, and split users between two arms."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")
EMPTY = sa.text("'{}'::jsonb")


def upgrade() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("share_b", sa.Float(), nullable=False),
        sa.Column("arm_a", postgresql.JSONB(astext_type=sa.Text()), server_default=EMPTY, nullable=False),
        sa.Column("arm_b", postgresql.JSONB(astext_type=sa.Text()), server_default=EMPTY, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("share_b > 0 AND share_b < 1", name=op.f("ck_experiments_share_b")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments")),
        sa.UniqueConstraint("name", name=op.f("uq_experiments_name")),
    )
    op.create_index(
        "uq_experiments_running", "experiments", [sa.text("(ended_at IS NULL)")], unique=True, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_table(
        "impressions",
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("model_version_id", sa.BigInteger(), nullable=True),
        sa.Column("experiment_id", sa.Integer(), nullable=True),
        sa.Column("arm", sa.Integer(), nullable=False),
        sa.Column("shown_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("clicked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("converted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name=op.f("fk_impressions_experiment_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_impressions_item_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_impressions_model_version_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_impressions_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("list_id", "item_id", name=op.f("pk_impressions")),
    )
    op.create_index("ix_impressions_shown_at", "impressions", ["shown_at"])
    op.create_index(op.f("ix_impressions_user_id"), "impressions", ["user_id"])
    op.create_index("ix_impressions_experiment_id", "impressions", ["experiment_id"], postgresql_where=sa.text("experiment_id IS NOT NULL"))


def downgrade() -> None:
    op.drop_table("impressions")
    op.drop_table("experiments")
