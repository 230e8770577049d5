"""Number the changes of a task, keep large results apart, count what an owner has queued, and record what administrators do."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Everything a follower is shown counts as a change; a renewal that tells nothing new does not.
NUMBERED = """
    IF (NEW.state, NEW.attempt, NEW.progress, NEW.progress_note, NEW.cancel_requested)
       IS DISTINCT FROM (OLD.state, OLD.attempt, OLD.progress, OLD.progress_note, OLD.cancel_requested) THEN
        NEW.revision := OLD.revision + 1;
    END IF;
"""

TASK_GUARD = """
CREATE OR REPLACE FUNCTION guard_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.fence < OLD.fence THEN
        RAISE EXCEPTION 'task %%: the fence may not go back from %% to %%', OLD.id, OLD.fence, NEW.fence;
    END IF;%s
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF NOT (OLD.state = 'queued' AND NEW.state IN ('running', 'cancelled', 'expired')
         OR OLD.state = 'running' AND NEW.state IN ('queued', 'succeeded', 'failed', 'cancelled', 'dead')
         OR OLD.state IN ('failed', 'dead') AND NEW.state = 'queued' AND NEW.requeue_count = OLD.requeue_count + 1) THEN
        RAISE EXCEPTION 'task %%: no way leads from %% to %%', OLD.id, OLD.state, NEW.state;
    END IF;
    IF NEW.state = 'running' AND NEW.fence <= OLD.fence THEN
        RAISE EXCEPTION 'task %%: a claim must raise the fence', OLD.id;
    END IF;
    RETURN NEW;
END $$;
"""


def upgrade() -> None:
    op.add_column("tasks", sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("artifact", sa.Text(), nullable=True))
    op.add_column("tasks", sa.Column("artifact_bytes", sa.BigInteger(), nullable=True))
    op.create_index("ix_tasks_queued_owner", "tasks", ["owner"], unique=False, postgresql_where=sa.text("state = 'queued'"))
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_subject", "audit_entries", ["subject", "id"], unique=False)
    op.execute(TASK_GUARD % NUMBERED)


def downgrade() -> None:
    op.execute(TASK_GUARD % "")
    op.drop_index("ix_audit_entries_subject", table_name="audit_entries")
    op.drop_table("audit_entries")
    op.drop_index("ix_tasks_queued_owner", table_name="tasks", postgresql_where=sa.text("state = 'queued'"))
    op.drop_column("tasks", "artifact_bytes")
    op.drop_column("tasks", "artifact")
    op.drop_column("tasks", "revision")
