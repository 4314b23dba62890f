"""CPU and memory of a tree of processes, sampled from outside while it runs."""

from __future__ import annotations

import threading
from itertools import pairwise
from types import TracebackType
from typing import Self

import psutil

SAMPLE_S = 0.25


class Usage:
    """Samples some processes and their children until it is left.

    Parameters
    ----------
    pids : sequence of int
        The roots. A driver's JVM and the Python workers of that JVM are found below it.

    Attributes
    ----------
    cpu_s : float
        Processor seconds used since the start of the measurement, of processes seen at least once.
    resident_bytes : list of int
        Sum of resident memory at each look, one every :data:`SAMPLE_S` seconds. Pages shared by forked workers count
        for each of them.
    """

    def __init__(self, pids: list[int]) -> None:
        self._roots = pids
        self._before: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._done = threading.Event()
        self.resident_bytes: list[int] = []
        self._sample(first=True)
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)

    @property
    def cpu_s(self) -> float:
        """Processor seconds since the start."""
        return sum(spent - self._before.get(pid, 0.0) for pid, spent in self._last.items())

    @property
    def peak_bytes(self) -> int:
        """Largest sum of resident memory."""
        return max(self.resident_bytes)

    def peaks_bytes(self, parts: int) -> list[int]:
        """Largest sum of resident memory in each of some equal parts of the time: flat, or growing."""
        looks = self.resident_bytes
        edges = [round(part * len(looks) / parts) for part in range(parts + 1)]
        return [max(looks[begin:end]) for begin, end in pairwise(edges) if begin < end]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self._sample()

    def _sample(self, first: bool = False) -> None:
        resident = 0
        for process in self._tree():
            try:
                times = process.cpu_times()
                resident += process.memory_info().rss
            except psutil.Error:
                continue  # it ended between two looks; its last sample counts
            self._last[process.pid] = times.user + times.system
            if first:
                self._before[process.pid] = times.user + times.system
        self.resident_bytes.append(resident)

    def _tree(self) -> list[psutil.Process]:
        found: dict[int, psutil.Process] = {}
        for pid in self._roots:
            try:
                root = psutil.Process(pid)
                found |= {p.pid: p for p in [root, *root.children(recursive=True)]}
            except psutil.Error:
                continue
        return list(found.values())
