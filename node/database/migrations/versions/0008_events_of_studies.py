"""Every event of a study is found without the others: those of no study leave the index, and that of jobs goes.

Nothing ever asked for the events of a job, and each instance and each association wrote to both.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.drop_index("ix_events_job_id", "events")
    op.drop_index("ix_events_study_id", "events")
    op.create_index("ix_events_study_id", "events", ["study_id"], sqlite_where=sa.text("study_id IS NOT NULL"))


def downgrade() -> None:
    """Undo this revision."""
    op.drop_index("ix_events_study_id", "events")
    op.create_index("ix_events_study_id", "events", ["study_id"])
    op.create_index("ix_events_job_id", "events", ["job_id"])
