"""How far each sink of the audit trail has come."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "audit_positions",
        sa.Column("sink", sa.String(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sink", name=op.f("pk_audit_positions")),
    )


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("audit_positions")
