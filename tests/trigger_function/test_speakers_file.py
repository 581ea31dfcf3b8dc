"""Names of speakers in an object beside the upload: read only where they are asked for."""

from __future__ import annotations

import pytest

from infra.recordings import recording
from shared.enums import Outcome
from shared.state.jobs.record import JobRecord
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import UPLOADS, LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
OWN, FOLDERS = "calls/a.wav.speakers.json", "calls/speakers.json"


def handled(cloud: LoopbackCloud, services: Services, **asked: str) -> tuple[JobRecord, list[str]]:
    """The record of `calls/a.wav`, uploaded with these options, and the files of names that were asked for."""
    metadata = {f"transcribe-{name.replace('_', '-')}": value for name, value in asked.items()}
    upload = cloud.drop(AUDIO, "calls/a.wav", metadata=metadata)
    with cloud.storage_server.counted() as calls:
        handle(services, upload)
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record, [call.name for call in calls if call.name.endswith("speakers.json")]


def put(services: Services, name: str, content: bytes) -> None:
    services.storage.bucket(UPLOADS).blob(name).upload_from_string(content)


def test_an_uploads_own_file_goes_before_its_folders(cloud: LoopbackCloud, services: Services) -> None:
    put(services, FOLDERS, b'{"speakers": ["Cid"]}')
    record, looked_for = handled(cloud, services, speakers="on")
    assert (record.options.speaker_names, looked_for) == (("Cid",), [OWN, FOLDERS])
    put(services, OWN, b'{"speakers": ["Ann", "Ben"]}')
    record, looked_for = handled(cloud, services, speakers="on")
    assert (record.options.speaker_names, looked_for) == (("Ann", "Ben"), [OWN])
    assert services.settings.ignores(OWN) == services.settings.ignores(FOLDERS) == "names of speakers"


@pytest.mark.parametrize(
    "asked",
    [{}, {"speakers": "off"}, {"speakers": "on", "speaker_names": "Dora"}, {"speakers": "on", "channels": "split"}],
)
def test_no_file_is_looked_for_where_no_names_are_missing(
    cloud: LoopbackCloud, services: Services, asked: dict[str, str]
) -> None:
    put(services, OWN, b'{"speakers": ["Ann"]}')
    record, looked_for = handled(cloud, services, **asked)
    assert looked_for == []
    assert record.options.speaker_names == (("Dora",) if "speaker_names" in asked else ())


def test_names_of_a_rule_are_enough(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(UPLOAD_RULES='[[rule]]\npattern = "calls/**"\nspeakers = 2\nspeaker-names = ["Eve"]\n')
    record, looked_for = handled(cloud, services)
    assert (record.options.speaker_names, looked_for) == (("Eve",), [])


def test_a_name_that_leaves_none_for_a_file_beside_it_has_no_file(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO, "x/" * 500 + "a.wav", metadata={"transcribe-speakers": "on"})
    handle(services, upload)
    assert cloud.terminal_messages() == []
    assert len(cloud.work_items()) == 1


@pytest.mark.parametrize("content", [b"", b'{"speakers": "Ann"}', b"x" * 70_000])
def test_a_file_without_names_rejects_the_upload(cloud: LoopbackCloud, services: Services, content: bytes) -> None:
    put(services, FOLDERS, content)
    handled(cloud, services, speakers="on")
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.REJECTED
    assert FOLDERS in (message.reason or "")
