"""A laptop cloud whose servers fail on demand."""

from __future__ import annotations

from infra.emulators.cloud import LaptopCloud
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.faulty_run_server import FaultyRunServer
from tests.support.faulty_storage import FaultyStorageServer
from tests.support.forked_process import ForkedProcessGroup


class FaultyLaptopCloud(LaptopCloud):
    """What its servers can do wrong is said by their classes; its processes start without imports of their own."""

    storage_server_type = FaultyStorageServer
    run_server_type = FaultyRunServer
    deepgram_server_type = FaultyDeepgramServer
    process_type = ForkedProcessGroup
