"""What peers ask us to commit ourselves to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "commitments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calling_ae_title", sa.String(), nullable=False),
        sa.Column("transaction_uid", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitments")),
        sa.UniqueConstraint("calling_ae_title", "transaction_uid", name=op.f("uq_commitments_calling_ae_title")),
    )
    op.create_index("ix_commitments_state_due_at", "commitments", ["state", "due_at"])
    op.create_table(
        "commitment_references",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("commitment_id", sa.Integer(), nullable=False),
        sa.Column("sop_class_uid", sa.String(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(), nullable=False),
        sa.Column("failure_reason", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["commitment_id"], ["commitments.id"], name=op.f("fk_commitment_references_commitment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_references")),
    )
    op.create_index(
        op.f("ix_commitment_references_commitment_id"), "commitment_references", ["commitment_id"]
    )


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("commitment_references")
    op.drop_table("commitments")
