"""This process's environment as another process's would be, for what looks nowhere else: settings, Google's clients."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Inside, the environment is exactly `values`. What stays the same is there at every moment, for other threads."""
    before = dict(os.environ)
    _become(values)
    try:
        yield
    finally:
        _become(before)


def _become(values: Mapping[str, str]) -> None:
    os.environ.update(values)
    for name in os.environ.keys() - values.keys():
        del os.environ[name]
