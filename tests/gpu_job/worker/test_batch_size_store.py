"""What a worker learned about memory is known to the next one, whoever wrote at the same time."""

from __future__ import annotations

import threading

import pytest
from google.cloud.storage import Bucket

from gpu_job.asr.batching import SafeSizes
from gpu_job.worker.batch_size_store import SafeSizeStore
from tests.support.loopback_cloud import STATE, LoopbackCloud

NAME = "engines/NVIDIA-L4-22-GiB/nvidia-parakeet-tdt-0.6b-v2.json"


@pytest.fixture
def bucket(cloud: LoopbackCloud) -> Bucket:
    found: Bucket = cloud.storage.bucket(STATE)
    return found


def a_store(bucket: Bucket) -> SafeSizeStore:
    return SafeSizeStore(bucket, "NVIDIA L4 22 GiB", "nvidia/parakeet-tdt-0.6b-v2")


def test_at_first_nothing_is_known(bucket: Bucket) -> None:
    assert a_store(bucket).load() == SafeSizes()


def test_the_next_worker_knows(bucket: Bucket) -> None:
    a_store(bucket).remember(SafeSizes({30: 16}))
    assert a_store(bucket).load() == SafeSizes({30: 16})
    assert bucket.blob(NAME).exists()


def test_what_is_known_only_gets_more_careful(bucket: Bucket) -> None:
    store = a_store(bucket)
    store.remember(SafeSizes({30: 16, 60: 4}))
    assert store.remember(SafeSizes({30: 32, 10: 40})) == SafeSizes({10: 40, 30: 16, 60: 4})
    assert a_store(bucket).load() == SafeSizes({10: 40, 30: 16, 60: 4})


def test_another_device_knows_nothing_of_it(bucket: Bucket) -> None:
    a_store(bucket).remember(SafeSizes({30: 16}))
    assert SafeSizeStore(bucket, "NVIDIA H200", "nvidia/parakeet-tdt-0.6b-v2").load() == SafeSizes()


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"[]", b"{}", b'{"safe": {"thirty": 1}}', b'{"safe": {"30": 0}}', b"\xff\xfe"]
)
def test_malformed_content_is_ignored_and_replaced(bucket: Bucket, content: bytes) -> None:
    bucket.blob(NAME).upload_from_string(content)
    store = a_store(bucket)
    assert store.load() == SafeSizes()
    store.remember(SafeSizes({30: 8}))
    assert store.load() == SafeSizes({30: 8})


def test_workers_that_learn_in_the_same_moment_lose_nothing(bucket: Bucket) -> None:
    lengths = range(10, 13)
    barrier = threading.Barrier(len(lengths))

    def learn(length: int) -> None:
        barrier.wait()
        a_store(bucket).remember(SafeSizes({length: length}))

    threads = [threading.Thread(target=learn, args=(length,)) for length in lengths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert a_store(bucket).load() == SafeSizes({length: length for length in lengths})
