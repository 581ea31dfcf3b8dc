"""Results in the uploads bucket are not uploads, however their folder is written."""

from __future__ import annotations

import pytest

from shared.media import Upload
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import RESULTS
from trigger_function.main import _ignored


@pytest.mark.parametrize("prefix", ["out", "out/", "/out/"])
def test_a_result_is_no_upload_and_its_neighbours_are(make_services: MakeServices, prefix: str) -> None:
    services = make_services(RESULTS_PREFIX=prefix)
    result = Upload(bucket=RESULTS, name="out/a.mp3/1/transcript.txt", generation=1)
    neighbour = Upload(bucket=RESULTS, name="outgoing/a.mp3", generation=1)
    assert _ignored(services, result) == "result"
    assert _ignored(services, neighbour) is None
