"""Which job a new one replaces the results of, and how often the node went down under a job."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision in place: a table with rows that refer to it cannot be copied."""
    op.execute(
        "ALTER TABLE jobs ADD COLUMN predecessor_id INTEGER CONSTRAINT fk_jobs_predecessor_id REFERENCES jobs (id)"
    )
    op.execute("ALTER TABLE jobs ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0")


def downgrade() -> None:
    """Undo this revision; what refers to another job stays, for SQLite cannot drop a column that does."""
    op.execute("ALTER TABLE jobs DROP COLUMN interruptions")
