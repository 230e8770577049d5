"""Say of each model version whether it is live and why, what it came from and what it replaced; artifacts may be let go."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

EMPTY_OBJECT = sa.text("'{}'::jsonb")


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("scope", sa.Text(), server_default="full", nullable=False))
    op.add_column("model_versions", sa.Column("status", sa.Text(), server_default="candidate", nullable=False))
    op.add_column("model_versions", sa.Column("status_reason", sa.Text(), nullable=True))
    op.add_column("model_versions", sa.Column("gate", postgresql.JSONB(), server_default=EMPTY_OBJECT, nullable=False))
    op.add_column("model_versions", sa.Column("source", sa.Text(), nullable=True))
    op.add_column("model_versions", sa.Column("parent_id", sa.BigInteger(), nullable=True))
    op.add_column("model_versions", sa.Column("replaced_id", sa.BigInteger(), nullable=True))
    op.add_column("model_versions", sa.Column("live_at", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("model_versions", "artifact", nullable=True)
    op.execute("UPDATE model_versions SET status = CASE WHEN is_current THEN 'live' ELSE 'candidate' END")
    op.execute("UPDATE model_versions SET live_at = created_at WHERE is_current")
    op.drop_index("uq_model_versions_current", table_name="model_versions")
    op.drop_column("model_versions", "is_current")
    for name, target in (("parent_id", "fk_model_versions_parent_id"), ("replaced_id", "fk_model_versions_replaced_id")):
        op.create_foreign_key(op.f(target), "model_versions", "model_versions", [name], ["id"], ondelete="SET NULL")
    op.create_check_constraint(op.f("ck_model_versions_status"), "model_versions", "status IN ('candidate', 'live', 'retired', 'refused')")
    op.create_check_constraint(op.f("ck_model_versions_scope"), "model_versions", "scope IN ('full', 'partial')")
    op.create_check_constraint(op.f("ck_model_versions_artifact"), "model_versions", "status <> 'live' OR artifact IS NOT NULL")
    op.create_index("uq_model_versions_live", "model_versions", ["status"], unique=True, postgresql_where=sa.text("status = 'live'"))
    op.create_index("ix_model_versions_source", "model_versions", ["source"], unique=False, postgresql_where=sa.text("source IS NOT NULL"))


def downgrade() -> None:
    op.add_column("model_versions", sa.Column("is_current", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.execute("UPDATE model_versions SET is_current = status = 'live'")
    op.execute("DELETE FROM model_versions WHERE artifact IS NULL")
    op.drop_index("ix_model_versions_source", table_name="model_versions", postgresql_where=sa.text("source IS NOT NULL"))
    op.drop_index("uq_model_versions_live", table_name="model_versions", postgresql_where=sa.text("status = 'live'"))
    for name in ("artifact", "scope", "status"):
        op.drop_constraint(op.f(f"ck_model_versions_{name}"), "model_versions")
    for name in ("live_at", "replaced_id", "parent_id", "source", "gate", "status_reason", "status", "scope"):
        op.drop_column("model_versions", name)
    op.alter_column("model_versions", "artifact", nullable=False)
    op.create_index("uq_model_versions_current", "model_versions", ["is_current"], unique=True, postgresql_where=sa.text("is_current"))
