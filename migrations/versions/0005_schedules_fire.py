"""Remember what became of a schedule's last firing, let schedules follow the time zone of the settings, and make the first three."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAMES = ("full-training", "partial-training", "refresh-all-lists")
OUTCOMES = "last_outcome IN ('submitted', 'coalesced', 'skipped', 'refused')"

# Without a next time: the first dispatcher that sees them knows the time zone.
SEED = """
INSERT INTO schedules (name, kind, payload, cron, timezone) VALUES
    ('full-training', 'train', '{"scope": "full", "algorithms": ["default"]}', '0 0 * * *', NULL),
    ('partial-training', 'train', '{"scope": "partial"}', '*/15 * * * *', NULL),
    ('refresh-all-lists', 'refresh_lists', '{}', '30 0 * * *', NULL)
ON CONFLICT (name) DO NOTHING
"""


def upgrade() -> None:
    op.alter_column("schedules", "timezone", existing_type=sa.Text(), nullable=True, server_default=None)
    op.add_column("schedules", sa.Column("last_due_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("schedules", sa.Column("last_outcome", sa.Text(), nullable=True))
    op.add_column("schedules", sa.Column("last_note", sa.Text(), nullable=True))
    op.add_column("schedules", sa.Column("last_task_id", sa.Uuid(), nullable=True))
    op.create_check_constraint(op.f("ck_schedules_last_outcome"), "schedules", OUTCOMES)
    op.execute(SEED)


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM schedules WHERE name IN :names").bindparams(sa.bindparam("names", NAMES, expanding=True)))
    op.execute("UPDATE schedules SET timezone = 'UTC' WHERE timezone IS NULL")
    op.drop_constraint(op.f("ck_schedules_last_outcome"), "schedules", type_="check")
    op.drop_column("schedules", "last_task_id")
    op.drop_column("schedules", "last_note")
    op.drop_column("schedules", "last_outcome")
    op.drop_column("schedules", "last_due_at")
    op.alter_column("schedules", "timezone", existing_type=sa.Text(), nullable=False, server_default="UTC")
