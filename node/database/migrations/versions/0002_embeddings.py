"""What a network makes of an image, kept with its job."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "embeddings",
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_embeddings_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_embeddings")),
    )


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("embeddings")
