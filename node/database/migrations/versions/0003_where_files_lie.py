"""Which row refers to a file, without looking at every row."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_index(op.f("ix_instances_path"), "instances", ["path"])
    op.create_index(op.f("ix_results_path"), "results", ["path"])


def downgrade() -> None:
    """Undo this revision."""
    op.drop_index(op.f("ix_results_path"), "results")
    op.drop_index(op.f("ix_instances_path"), "instances")
