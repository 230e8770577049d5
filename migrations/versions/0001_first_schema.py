"""The first schema, and the trigger that guards the life of a task."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TASK_GUARD = """
CREATE FUNCTION guard_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.fence < OLD.fence THEN
        RAISE EXCEPTION 'task %: the fence may not go back from % to %', OLD.id, OLD.fence, NEW.fence;
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF NOT (OLD.state = 'queued' AND NEW.state IN ('running', 'cancelled', 'expired')
         OR OLD.state = 'running' AND NEW.state IN ('queued', 'succeeded', 'failed', 'cancelled', 'dead')
         OR OLD.state IN ('failed', 'dead') AND NEW.state = 'queued' AND NEW.requeue_count = OLD.requeue_count + 1) THEN
        RAISE EXCEPTION 'task %: no way leads from % to %', OLD.id, OLD.state, NEW.state;
    END IF;
    IF NEW.state = 'running' AND NEW.fence <= OLD.fence THEN
        RAISE EXCEPTION 'task %: a claim must raise the fence', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_task BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION guard_task();
"""


def upgrade() -> None:
    op.create_table(
        "items",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("categories", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("is_hidden", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
    )
    op.create_index("ix_items_categories", "items", ["categories"], unique=False, postgresql_using="gin")
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("is_enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("next_fire_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_fired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("payload_version", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("idem_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("exclusive_key", sa.Text(), nullable=True),
        sa.Column("coalesce_key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("requeue_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("available_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("progress", sa.Float(), server_default="0", nullable=False),
        sa.Column("progress_note", sa.Text(), nullable=True),
        sa.Column("error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("result", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'running') = (lease_until IS NOT NULL AND lease_owner IS NOT NULL)", name=op.f("ck_tasks_lease")),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled', 'expired', 'dead')) = (finished_at IS NOT NULL)",
            name=op.f("ck_tasks_finished_at"),
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired', 'dead')", name=op.f("ck_tasks_state")
        ),
        sa.CheckConstraint("attempt BETWEEN 0 AND max_attempts", name=op.f("ck_tasks_attempt")),
        sa.CheckConstraint("progress BETWEEN 0 AND 1", name=op.f("ck_tasks_progress")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
    )
    op.create_index(
        "ix_tasks_coalesce_key",
        "tasks",
        ["kind", "coalesce_key"],
        unique=False,
        postgresql_where=sa.text("coalesce_key IS NOT NULL AND state = 'queued'"),
    )
    op.create_index("ix_tasks_created_at", "tasks", [sa.literal_column("created_at DESC"), "id"], unique=False)
    op.create_index(
        "ix_tasks_due",
        "tasks",
        ["queue", sa.literal_column("priority DESC"), "available_at"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index("ix_tasks_lease_until", "tasks", ["lease_until"], unique=False, postgresql_where=sa.text("state = 'running'"))
    op.create_index("ix_tasks_owner", "tasks", ["owner", sa.literal_column("created_at DESC"), "id"], unique=False)
    op.create_index("ix_tasks_parent_id", "tasks", ["parent_id"], unique=False, postgresql_where=sa.text("parent_id IS NOT NULL"))
    op.create_index(
        "uq_tasks_exclusive_key",
        "tasks",
        ["kind", "exclusive_key"],
        unique=True,
        postgresql_where=sa.text("exclusive_key IS NOT NULL AND state IN ('queued', 'running')"),
    )
    op.create_index("uq_tasks_idem_key", "tasks", ["owner", "idem_key"], unique=True, postgresql_where=sa.text("idem_key IS NOT NULL"))
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("preferred_categories", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("role IN ('user', 'service', 'admin')", name=op.f("ck_accounts_role")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_accounts_user_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("user_id", name=op.f("uq_accounts_user_id")),
    )
    op.create_index("uq_accounts_email", "accounts", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "interactions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("type IN ('watch', 'rating', 'like', 'dislike', 'bookmark', 'view')", name=op.f("ck_interactions_type")),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_interactions_item_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_interactions_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interactions")),
    )
    op.create_index(op.f("ix_interactions_item_id"), "interactions", ["item_id"], unique=False)
    op.create_index("uq_interactions_event", "interactions", ["user_id", "occurred_at", "item_id", "type"], unique=True)
    op.create_table(
        "model_versions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("artifact", sa.Text(), nullable=False),
        sa.Column("artifact_bytes", sa.BigInteger(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("data_window", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("training_seconds", sa.Float(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("is_current", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_model_versions_task_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_versions")),
    )
    op.create_index("uq_model_versions_current", "model_versions", ["is_current"], unique=True, postgresql_where=sa.text("is_current"))
    op.create_table(
        "recommendation_lists",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("model_version_id", sa.BigInteger(), nullable=True),
        sa.Column("entries", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("is_cold", sa.Boolean(), nullable=False),
        sa.Column("history_count", sa.Integer(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_recommendation_lists_model_version_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_recommendation_lists_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_recommendation_lists")),
    )
    op.create_index(op.f("ix_recommendation_lists_model_version_id"), "recommendation_lists", ["model_version_id"], unique=False)
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("family_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_refresh_tokens_account_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_tokens")),
    )
    op.create_index(op.f("ix_refresh_tokens_account_id"), "refresh_tokens", ["account_id"], unique=False)
    op.create_index(op.f("ix_refresh_tokens_family_id"), "refresh_tokens", ["family_id"], unique=False)
    op.execute(TASK_GUARD)


def downgrade() -> None:
    op.drop_index(op.f("ix_refresh_tokens_family_id"), table_name="refresh_tokens")
    op.drop_index(op.f("ix_refresh_tokens_account_id"), table_name="refresh_tokens")
    op.drop_table("refresh_tokens")
    op.drop_index(op.f("ix_recommendation_lists_model_version_id"), table_name="recommendation_lists")
    op.drop_table("recommendation_lists")
    op.drop_index("uq_model_versions_current", table_name="model_versions", postgresql_where=sa.text("is_current"))
    op.drop_table("model_versions")
    op.drop_index("uq_interactions_event", table_name="interactions")
    op.drop_index(op.f("ix_interactions_item_id"), table_name="interactions")
    op.drop_table("interactions")
    op.drop_index("uq_accounts_email", table_name="accounts")
    op.drop_table("accounts")
    op.drop_table("users")
    op.drop_index("uq_tasks_idem_key", table_name="tasks", postgresql_where=sa.text("idem_key IS NOT NULL"))
    op.drop_index(
        "uq_tasks_exclusive_key",
        table_name="tasks",
        postgresql_where=sa.text("exclusive_key IS NOT NULL AND state IN ('queued', 'running')"),
    )
    op.drop_index("ix_tasks_parent_id", table_name="tasks", postgresql_where=sa.text("parent_id IS NOT NULL"))
    op.drop_index("ix_tasks_owner", table_name="tasks")
    op.drop_index("ix_tasks_lease_until", table_name="tasks", postgresql_where=sa.text("state = 'running'"))
    op.drop_index("ix_tasks_due", table_name="tasks", postgresql_where=sa.text("state = 'queued'"))
    op.drop_index("ix_tasks_created_at", table_name="tasks")
    op.drop_index("ix_tasks_coalesce_key", table_name="tasks", postgresql_where=sa.text("coalesce_key IS NOT NULL AND state = 'queued'"))
    op.drop_table("tasks")
    op.drop_table("schedules")
    op.drop_index("ix_items_categories", table_name="items", postgresql_using="gin")
    op.drop_table("items")
    op.execute("DROP FUNCTION guard_task")
