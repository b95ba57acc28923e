"""What the tasks share: models that are made once, and the clock of the CPU."""

from __future__ import annotations

import gc
import math
import time
from typing import Any, Self

_models: dict[tuple[int, str], Any] = {}


def model_of(subject: Any, url: str) -> Any:
    """A subject's model for one workload: made at its first measurement."""
    if (id(subject), url) not in _models:
        _models[id(subject), url] = subject.make(url)
    return _models[id(subject), url]


class Cpu:
    """The CPU time this process, all threads, spends in a block."""

    def __enter__(self) -> Self:
        gc.collect()
        self._begun = time.process_time()
        self.spent = math.nan
        return self

    def __exit__(self, *_: object) -> None:
        self.spent = time.process_time() - self._begun

    def micros_each(self, count: int) -> float:
        """Microseconds for each of `count` pieces of work."""
        return self.spent / count * 1e6
