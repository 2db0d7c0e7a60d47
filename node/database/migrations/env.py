"""Alembic's entry point: run the migrations on the connection that `Database.migrate` hands over."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Enum

from node.database.tables import Table, UtcDateTime


def render_plain_types(kind: str, item: Any, _autogenerate: Any) -> str | Literal[False]:
    """Write our own column types into a new migration as what SQLite stores, so it never imports us."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime()"
    if kind == "type" and isinstance(item, Enum):
        return f"sa.String(length={item.length})"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
    render_item=render_plain_types,
)
with context.begin_transaction():
    context.run_migrations()
