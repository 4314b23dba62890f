"""``--where``: one SQL expression over the fields of an alert decides which ones are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import duckdb

from fink_lib.client.consumer import Received, grouped
from fink_lib.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa


class Selection:
    """Keeps the alerts for which an expression is true; null is not.

    Parameters
    ----------
    expression : str
        DuckDB's SQL over the fields of the packet, ``candidate.magpsf < 18 AND cdsxmatch = 'Unknown'`` for one.
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._session = duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": False})

    def keep(self, received: Sequence[Received]) -> list[Received]:
        """Choose among messages, and leave their order as it is.

        Raises
        ------
        ConfigError
            If the expression cannot be evaluated for them.
        """
        kept = set()
        for group in grouped(received):
            verdicts = self.verdicts(group[0].schema.table([one.alert for one in group]))
            kept |= {id(one) for one, taken in zip(group, verdicts, strict=True) if taken}
        return [one for one in received if id(one) in kept]

    def verdicts(self, alerts: pa.Table) -> list[bool]:
        """Tell for each row whether it is kept."""
        self._session.register("alerts", alerts)
        try:
            found = self._session.execute(f"SELECT coalesce(CAST(({self.expression}) AS BOOLEAN), false) FROM alerts")
            return [bool(row[0]) for row in found.fetchall()]
        except duckdb.Error as error:
            cause = str(error).split("\n", 1)[0]
            raise ConfigError(f"--where cannot be evaluated ({cause}); correct it: {self.expression}") from error
        finally:
            self._session.unregister("alerts")
