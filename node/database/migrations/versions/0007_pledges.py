"""What peers were asked to commit to, and what became of it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COLUMNS = {
    "commitment_due_at": "DATETIME",
    "askings": "INTEGER NOT NULL DEFAULT 0",
    "denials": "INTEGER NOT NULL DEFAULT 0",
    "committed_at": "DATETIME",
}


def upgrade() -> None:
    """Apply this revision in place: a table with rows that refer to it cannot be copied."""
    for name, kind in _COLUMNS.items():
        op.execute(f"ALTER TABLE deliveries ADD COLUMN {name} {kind}")
    op.create_index("ix_deliveries_commitment_due_at", "deliveries", ["commitment_due_at"])
    op.create_table(
        "pledges",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("transaction_uid", sa.String(), nullable=False),
        sa.Column("ae_title", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("reported_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledges")),
        sa.UniqueConstraint("transaction_uid", name=op.f("uq_pledges_transaction_uid")),
    )
    op.create_table(
        "pledged_objects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pledge_id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["pledge_id"], ["pledges.id"], name=op.f("fk_pledged_objects_pledge_id")),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_pledged_objects_delivery_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledged_objects")),
    )
    for column in ("pledge_id", "delivery_id"):
        op.create_index(f"ix_pledged_objects_{column}", "pledged_objects", [column])


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("pledged_objects")
    op.drop_table("pledges")
    op.drop_index("ix_deliveries_commitment_due_at", "deliveries")
    for name in _COLUMNS:
        op.execute(f"ALTER TABLE deliveries DROP COLUMN {name}")
