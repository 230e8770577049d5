"""Count anew what everybody does with each item by a schedule, so that trending lists follow the hour and not the day."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Without a next time: the first dispatcher that sees it knows the time zone.
SEED = """
INSERT INTO schedules (name, kind, payload, cron, timezone) VALUES ('count-items', 'count_items', '{}', '*/10 * * * *', NULL)
ON CONFLICT (name) DO NOTHING
"""


def upgrade() -> None:
    op.execute(SEED)


def downgrade() -> None:
    op.execute("DELETE FROM schedules WHERE name = 'count-items'")
