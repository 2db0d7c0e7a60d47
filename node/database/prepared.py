"""A statement that is put together once, for those that every instance needs.

SQLAlchemy looks a statement up and builds its parameters each time, which takes longer than SQLite takes to run it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from node.database.transaction import Transaction


class Prepared:
    """An INSERT, UPDATE or SELECT of rows for SQLite, with parameters by name."""

    def __init__(self, statement: UpdateBase | Select[*tuple[Any, ...]], columns: Sequence[str] | None = None) -> None:
        """Put it together; `columns` are those that an INSERT without values of its own gives.

        It may hold no IN, which SQLAlchemy writes out only when it runs a statement.
        """
        dialect = sqlite.dialect(paramstyle="named")
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        assert isinstance(compiled, SQLCompiler)
        self._text = str(compiled)
        self._encoders = {
            name: encode
            for bound, name in compiled.bind_names.items()
            if (encode := bound.type.dialect_impl(dialect).bind_processor(dialect))
        }
        constants = {name: bound.value for bound, name in compiled.bind_names.items() if not bound.required}
        self._constants = self._encoded(constants)

    def run(self, transaction: Transaction, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run it with these values, each encoded as its column wants it; give the rows it returns."""
        return transaction.driver.execute(self._text, self._constants | self._encoded(values)).fetchall()

    def _encoded(self, values: Mapping[str, Any]) -> dict[str, Any]:
        encoders = self._encoders
        return {name: encoders[name](value) if name in encoders else value for name, value in values.items()}
