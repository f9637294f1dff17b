"""How the benchmarks measure time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def milliseconds(function: Callable[[], Any], *, calls: int) -> float:
    """Return the median time of so many calls, after one that is not measured."""
    function()
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)
