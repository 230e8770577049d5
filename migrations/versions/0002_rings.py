"""Remember when a task was rung at the broker, and find fairly what is still to be rung."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_tasks_rung",
        "tasks",
        ["queue", "dispatched_at"],
        unique=False,
        postgresql_where=sa.text("state = 'queued' AND dispatched_at IS NOT NULL"),
    )
    op.create_index(
        "ix_tasks_waiting",
        "tasks",
        ["queue", "owner", sa.literal_column("priority DESC"), "available_at"],
        unique=False,
        postgresql_where=sa.text("state = 'queued' AND dispatched_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_tasks_waiting", table_name="tasks", postgresql_where=sa.text("state = 'queued' AND dispatched_at IS NULL"))
    op.drop_index("ix_tasks_rung", table_name="tasks", postgresql_where=sa.text("state = 'queued' AND dispatched_at IS NOT NULL"))
    op.drop_column("tasks", "dispatched_at")
