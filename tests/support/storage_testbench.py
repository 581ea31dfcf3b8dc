"""Google's own emulator, googleapis/storage-testbench: where one runs, most of these tests can be held to it."""

from __future__ import annotations

import os

import pytest

URL = os.environ.get("STORAGE_TESTBENCH_URL")

beyond_testbench = pytest.mark.skipif(URL is not None, reason="storage-testbench does not do as Cloud Storage does")
