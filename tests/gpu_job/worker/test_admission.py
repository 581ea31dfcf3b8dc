"""Admission by bytes: what runs together never takes more than the instance has, and nobody waits for nothing."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.settings import JobSettings
from gpu_job.worker.admission import Admission, Admissions, InstanceRoom, UploadNeed, admission
from shared.errors import Rejected
from shared.media import Media

GB = 10**9
BYTES = st.integers(0, 20 * GB)
NEEDS = st.builds(UploadNeed, file_bytes=BYTES, work_bytes=st.integers(1, 2 * GB))
INSTANCES = st.builds(
    lambda memory, disk, taken: InstanceRoom(memory, disk, 0 if disk is None else max(0, disk - taken)),
    BYTES,
    st.none() | BYTES,
    st.integers(0, 5 * GB),
)


def media(size_bytes: int) -> Media:
    return Media(
        container="mov,mp4",
        codec="aac",
        duration_seconds=60,
        sample_rate_hz=48000,
        channels=2,
        size_bytes=size_bytes,
        has_video=True,
    )


@given(st.lists(NEEDS, max_size=12), INSTANCES)
def test_what_is_admitted_fits_together(uploads: list[UploadNeed], room: InstanceRoom) -> None:
    running: list[UploadNeed] = []
    for need in uploads:
        if admission(need, running, room) is Admission.NOW:
            running.append(need)
    files, work = sum(one.file_bytes for one in running), sum(one.work_bytes for one in running)
    if room.disk_bytes is None:
        assert files + work <= room.memory_bytes
    else:
        assert files <= room.free_disk_bytes
        assert work <= room.memory_bytes or len(running) == 1


@given(NEEDS, INSTANCES)
def test_alone_an_upload_never_waits_for_itself(need: UploadNeed, room: InstanceRoom) -> None:
    assert admission(need, [], room) is not Admission.LATER
    if room.disk_bytes is None or need.file_bytes <= room.free_disk_bytes:
        assert admission(need, [], room) in {Admission.NOW, Admission.NEVER}


@given(NEEDS, st.lists(NEEDS, max_size=5), INSTANCES)
def test_only_a_file_that_no_idle_instance_could_hold_is_refused_for_good(
    need: UploadNeed, running: list[UploadNeed], room: InstanceRoom
) -> None:
    never = admission(need, running, room) is Admission.NEVER
    assert never == (admission(need, [], room) is Admission.NEVER)
    has = room.memory_bytes - need.work_bytes if room.disk_bytes is None else room.disk_bytes
    assert never == (need.file_bytes > has)


@given(NEEDS, st.lists(NEEDS, min_size=1, max_size=5), INSTANCES)
def test_fewer_neighbours_never_make_it_worse(need: UploadNeed, running: list[UploadNeed], room: InstanceRoom) -> None:
    if admission(need, running, room) is Admission.NOW:
        assert admission(need, running[1:], room) is Admission.NOW


def test_six_gigabytes_four_times_are_taken_one_after_the_other() -> None:
    room, video = InstanceRoom(13 * GB, 10 * GB, 10 * GB), UploadNeed(6 * GB, GB // 2)
    assert admission(video, [], room) is Admission.NOW
    assert admission(video, [video], room) is Admission.LATER
    assert admission(UploadNeed(GB, GB // 2), [video], room) is Admission.NOW
    in_memory = InstanceRoom(12 * GB)
    assert admission(video, [], in_memory) is Admission.NOW
    assert admission(video, [video], in_memory) is Admission.LATER
    assert admission(UploadNeed(13 * GB, GB // 2), [], in_memory) is Admission.NEVER


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> JobSettings:
    for name in ("GOOGLE_CLOUD_PROJECT", "RESULTS_BUCKET", "STATE_BUCKET"):
        monkeypatch.setenv(name, "anything")
    monkeypatch.setenv("SCRATCH_FOLDER", str(tmp_path))
    return JobSettings()


def test_what_this_worker_has_fetched_is_no_space_that_others_took(settings: JobSettings) -> None:
    admissions = Admissions(settings.model_copy(update={"job_disk_gib": 0.001}))
    before = admissions.room()
    assert before.disk_bytes == before.free_disk_bytes == int(0.001 * 2**30)
    (admissions.folder / "upload").write_bytes(bytes(700_000))
    assert admissions.room() == before
    admissions.close()
    assert list(admissions.folder.parent.iterdir()) == []


def test_a_file_larger_than_the_instance_is_refused_with_both_sizes(settings: JobSettings) -> None:
    with_disk = Admissions(settings.model_copy(update={"job_disk_gib": 0.001}))
    with pytest.raises(Rejected, match=r"has 6\.00 GB and an instance of the job has room for 0\.00 GB"):
        with_disk.check(media(6 * GB))
    in_memory = Admissions(settings.model_copy(update={"job_disk_gib": 0.0, "job_memory_gib": 3.5}))
    with pytest.raises(Rejected, match=r"room for 0\.04 GB"):
        in_memory.check(media(GB))
    in_memory.check(media(10_000_000))


def test_a_disk_that_others_filled_is_a_fault_of_the_disk(settings: JobSettings) -> None:
    # Larger than what is free, smaller than the disk: whatever the machine has.
    admissions = Admissions(settings)
    room = admissions.room()
    assert room.disk_bytes is not None
    size = (room.disk_bytes + room.free_disk_bytes) // 2
    if size == room.free_disk_bytes:
        pytest.skip("nothing is on this machine's disk")
    with pytest.raises(OSError, match="No space") as raised:
        admissions.check(media(size))
    assert raised.value.errno == errno.ENOSPC
