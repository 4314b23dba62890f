"""The connection to HBase: Cython on the wire, a fresh connection after a fault, a bound on patience.

Every call here may be repeated without harm: puts carry their own timestamps, the rest reads. So the one remedy for a
server that is away, was restarted or has closed an idle connection is the same call on a new connection.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import happybase.connection
from Hbase_thrift import AlreadyExists, BatchMutation, IllegalArgument, Mutation, TScan
from Hbase_thrift import IOError as HBaseIOError
from thriftpy2.protocol.cybin import TCyBinaryProtocol  # type: ignore[attr-defined]
from thriftpy2.thrift import TException
from thriftpy2.transport.buffered import TCyBufferedTransport  # type: ignore[attr-defined]

from fink_lib.archive.rows import Row
from fink_lib.errors import ConfigError, TransientError

if TYPE_CHECKING:
    from fink_lib.config import HBaseSettings

log = logging.getLogger(__name__)
Result = TypeVar("Result")

ATTEMPTS = 12
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 15.0
"""With these, about a minute and a half: longer than a killed HBase takes to be started again."""
TIMEOUT_MS = 60_000
SCAN_BATCH = 1000
_LAST = b"\xff"


def _cython_protocol(transport: Any, **_options: Any) -> Any:
    return TCyBinaryProtocol(transport)


# happybase picks its wire code from these tables; the Cython one costs an eighth of the client's time.
happybase.connection.THRIFT_TRANSPORTS = {"buffered": TCyBufferedTransport}
happybase.connection.THRIFT_PROTOCOLS = {"binary": _cython_protocol}


class HBase:
    """One connection, used by one thread of one process.

    Parameters
    ----------
    settings : HBaseSettings
        Where the Thrift server is, and the prefix of this installation's tables.
    attempts : int
        How often a call is tried before it fails.
    timeout_ms : int
        How long one try waits for an answer.
    """

    def __init__(self, settings: HBaseSettings, attempts: int = ATTEMPTS, timeout_ms: int = TIMEOUT_MS) -> None:
        self._settings = settings
        self._attempts = attempts
        self._timeout_ms = timeout_ms
        self._connection: happybase.connection.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except (OSError, TException) as error:
                log.debug("closing a broken connection: %s", error)

    def tables(self) -> list[str]:
        """List the installation's tables, without the prefix."""
        prefix = self._settings.table_prefix
        names = [name.decode() for name in self._call(lambda connection: connection.tables())]
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

    def ensure_table(self, table: str, families: Iterable[str]) -> None:
        """Create a table if it is not there; each cell keeps one version."""
        if table in self.tables():
            return
        options = {family: {"max_versions": 1, "bloom_filter_type": "ROW"} for family in families}

        def create(connection: happybase.connection.Connection) -> None:
            try:
                connection.create_table(self._name(table), options)
            except AlreadyExists:
                log.debug("table %s was made by another process", table)

        self._call(create)

    def put(self, table: str, rows: Sequence[Row], batch_rows: int) -> None:
        """Write rows, all cells of a row at the row's own timestamp.

        The Thrift call takes one timestamp for all its rows; alerts of one exposure share theirs, so rows are sent in
        groups of equal timestamps, at most `batch_rows` at a time.
        """
        name = self._name(table).encode()
        ordered = sorted(rows, key=lambda row: (row.timestamp_ms, row.key))
        for stamp, group in groupby(ordered, key=lambda row: row.timestamp_ms):
            members = list(group)
            for start in range(0, len(members), batch_rows):
                mutations = [_mutation(row) for row in members[start : start + batch_rows]]
                self._call(partial(_mutate, name, mutations, stamp))

    def rows(
        self, table: str, keys: Sequence[bytes], columns: Sequence[bytes] | None = None
    ) -> dict[bytes, tuple[dict[bytes, bytes], int]]:
        """Get rows by key.

        Returns
        -------
        dict
            For each key that exists, its cells and their timestamp (ms); -1 if they have more than one.
        """
        return {key: _cells(cells) for key, cells in self.cells(table, keys, columns).items()}

    def cells(
        self, table: str, keys: Sequence[bytes], columns: Sequence[bytes] | None = None
    ) -> dict[bytes, dict[bytes, tuple[bytes, int]]]:
        """Get rows by key: for each key that exists, its cells, each with its own timestamp (ms)."""
        if not keys:
            return {}
        return dict(
            self._call(
                lambda connection: connection.table(self._name(table)).rows(keys, columns, include_timestamp=True)
            )
        )

    def scan_prefix(
        self, table: str, prefix: bytes, columns: Sequence[bytes] | None = None
    ) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Read all rows whose keys begin with `prefix`, in order of their keys."""
        return list(self.scan(table, prefix, prefix + _LAST, columns))

    def scan(
        self,
        table: str,
        start: bytes,
        stop: bytes,
        columns: Sequence[bytes] | None = None,
        newest_first: bool = False,
        batch_rows: int = SCAN_BATCH,
        filter_string: str | None = None,
    ) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
        """Read the rows whose keys are in a range, `batch_rows` at a time.

        Each batch is a scan of its own, so that nothing is open between two of them: whoever reads may take as long as
        it likes, stop where it likes, and outlive a restart of the server.

        Parameters
        ----------
        table : str
            Name of the table.
        start, stop : bytes
            First key, and the one behind the last.
        columns : sequence of bytes, optional
            Columns or families; all without.
        newest_first : bool
            Greatest key first.
        batch_rows : int
            Rows in a batch.
        filter_string : str, optional
            A filter in HBase's own language.
        """
        while True:
            first, last = (stop, _before(start)) if newest_first else (start, stop)
            work = partial(self._batch, table, (first, last), columns, newest_first, batch_rows, filter_string)
            rows = self._call(work)
            yield from (row for row in rows if start <= row[0] < stop)
            if len(rows) < batch_rows:
                return
            if newest_first:
                stop = rows[-1][0]
            else:
                start = rows[-1][0] + b"\0"

    def delete(self, table: str, key: bytes, columns: Sequence[bytes], timestamp_ms: int) -> None:
        """Delete cells at `timestamp_ms` and before.

        A tombstone hides every later put that is not newer than it; never pass the present time.
        """
        mutations = [BatchMutation(key, [Mutation(isDelete=True, column=name) for name in columns])]
        name = self._name(table).encode()
        self._call(partial(_mutate, name, mutations, timestamp_ms))

    def delete_cells(self, table: str, cells: Sequence[tuple[bytes, bytes, int]]) -> None:
        """Delete single cells (key, column, timestamp in ms), each at its own time and before; see :meth:`delete`."""
        name = self._name(table).encode()
        ordered = sorted(cells, key=lambda cell: cell[2])
        for stamp, group in groupby(ordered, key=lambda cell: cell[2]):
            mutations = [BatchMutation(key, [Mutation(isDelete=True, column=column)]) for key, column, _ in group]
            self._call(partial(_mutate, name, mutations, stamp))

    def _batch(
        self,
        table: str,
        bounds: tuple[bytes, bytes],
        columns: Sequence[bytes] | None,
        reverse: bool,
        number: int,
        filter_string: str | None,
        connection: happybase.connection.Connection,
    ) -> list[tuple[bytes, dict[bytes, bytes]]]:
        # happybase's own scan asks once more to see that nothing follows; fewer rows than asked for say the same
        client = connection.client
        wanted = TScan(
            startRow=bounds[0],
            stopRow=bounds[1],
            columns=columns,
            caching=number,
            filterString=filter_string,
            reversed=reverse,
        )
        scanner = client.scannerOpenWithScan(self._name(table).encode(), wanted, {})
        try:
            rows = client.scannerGetList(scanner, number)
        finally:
            client.scannerClose(scanner)
        return [(row.row, {name: cell.value for name, cell in row.columns.items()}) for row in rows]

    def _name(self, table: str) -> str:
        return f"{self._settings.table_prefix}{table}"

    def _call(self, work: Callable[[happybase.connection.Connection], Result]) -> Result:
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, self._attempts + 1):
            try:
                if self._connection is None:
                    self._connection = happybase.connection.Connection(
                        self._settings.thrift_host, self._settings.thrift_port, timeout=self._timeout_ms
                    )
                return work(self._connection)
            except IllegalArgument as error:
                raise ConfigError(f"HBase refuses the request: {_first_line(error)}") from error
            except (TException, OSError, HBaseIOError) as error:
                self.close()
                _raise_if_final(error)
                if attempt == self._attempts:
                    place = f"{self._settings.thrift_host}:{self._settings.thrift_port}"
                    raise TransientError(
                        f"HBase at {place} failed {attempt} times ({_first_line(error)}); check `fink status`"
                    ) from error
                log.warning(
                    "HBase call failed (%s); try %d follows in %.2f s", _first_line(error), attempt + 1, pause_s
                )
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        raise AssertionError("unreachable")


def _before(key: bytes) -> bytes:
    """Give bytes that lie before `key`, with nothing that the archive writes in between."""
    return key[:-1] + bytes([key[-1] - 1]) + _LAST if key and key[-1] else key[:-1]


def _mutate(table: bytes, mutations: list[Any], timestamp_ms: int, connection: Any) -> None:
    connection.client.mutateRowsTs(table, mutations, timestamp_ms, {})


def _mutation(row: Row) -> BatchMutation:
    return BatchMutation(row.key, [Mutation(column=name, value=value) for name, value in row.cells.items()])


def _cells(found: dict[bytes, tuple[bytes, int]]) -> tuple[dict[bytes, bytes], int]:
    stamps = {stamp for _, stamp in found.values()}
    return {name: value for name, (value, _) in found.items()}, stamps.pop() if len(stamps) == 1 else -1


def _raise_if_final(error: BaseException) -> None:
    """Do not wait for what waiting cannot mend."""
    line = _first_line(error)
    if "TableNotFoundException" in line:
        table = line.rpartition(": ")[2]
        raise TransientError(f"HBase has no table {table}; it is made when the first night is archived") from error
    if "NoSuchColumnFamilyException" in line:
        raise ConfigError(f"HBase refuses the request: {line}") from error


def _first_line(error: BaseException) -> str:
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    return str(text).strip().splitlines()[0][:300]
