"""A statement that is put together once, for those that every instance needs.

SQLAlchemy looks a statement up and builds its parameters each time, which takes longer than SQLite takes to run it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from node.database.transaction import Transaction


class Prepared:
    """An INSERT or UPDATE of rows for SQLite, with parameters by name."""

    def __init__(self, statement: UpdateBase, columns: Sequence[str] | None = None) -> None:
        """Put it together; `columns` are those that an INSERT without values of its own gives."""
        dialect = sqlite.dialect(paramstyle="named")
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        assert isinstance(compiled, SQLCompiler)
        self._text = str(compiled)
        self._constants = compiled.params
        self._encoders = {
            name: encode
            for bound, name in compiled.bind_names.items()
            if (encode := bound.type.dialect_impl(dialect).bind_processor(dialect))
        }

    def run(self, transaction: Transaction, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run it with these values, each encoded as its column wants it; give the rows it returns."""
        given = {**self._constants, **values}
        for name, encode in self._encoders.items():
            given[name] = encode(given[name])
        return transaction.driver.execute(self._text, given).fetchall()
