"""A published model is fetched once, goes on after a break, and is in the cache only when it is what the hub lists."""

from __future__ import annotations

import json
import random
import resource
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gpu_job.asr.hub.download import Patience
from gpu_job.asr.hub.errors import WAYS_ON, ModelNotFetched
from gpu_job.asr.hub.fetch import FetchPlan, Hub, cached_model, fetch_model
from gpu_job.asr.hub.names import HubModel, hub_model
from shared.languages.models import PUBLISHED_MODEL
from tests.support.hub_server import COMMIT, HubServer

REPOSITORY = "istupakov/parakeet-tdt-0.6b-v2-onnx"
ENCODER, WEIGHTS = "encoder-model.int8.onnx", "encoder-model.int8.onnx.data"
QUICK = Patience(connect_seconds=2.0, silent_seconds=2.0, attempts=2, pause_seconds=0.01)


def content(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


FILES = {
    ".gitattributes": b"*.onnx filter=lfs",
    "README.md": b"# a model",
    "config.json": json.dumps({"model_type": "nemo-conformer-tdt", "features_size": 128}).encode(),
    "vocab.txt": b"<unk> 0\n<blk> 1\n",
    ENCODER: content(40_000, 1),
    WEIGHTS: content(3_000_000, 2),
    "decoder_joint-model.int8.onnx": content(50_000, 3),
    "encoder-model.onnx": content(50_000, 4),
    "encoder-model.onnx.data": content(90_000, 5),
    "decoder_joint-model.onnx": content(70_000, 6),
}
INT8 = {"config.json", "vocab.txt", ENCODER, WEIGHTS, "decoder_joint-model.int8.onnx"}


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer(REPOSITORY, FILES) as running:
        yield running


@pytest.fixture
def hub(server: HubServer, tmp_path: Path) -> Hub:
    return Hub(server.url, tmp_path / "hub", offline=False, patience=QUICK)


@dataclass
class RecordedFetch:
    """What a fetch said."""

    plans: list[FetchPlan] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def planned(self, plan: FetchPlan) -> None:
        self.plans.append(plan)

    def received(self, count: int) -> None:
        self.counts.append(count)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_revision_is_fetched_and_found_offline_though_a_newer_one_is_published(server: HubServer, hub: Hub) -> None:
    server.newest = "f" * 40
    folder = fetch_model(PUBLISHED_MODEL, hub=hub, revision=COMMIT)
    assert folder.name == COMMIT
    assert fetch_model(PUBLISHED_MODEL, hub=replace(hub, offline=True)) == folder
    assert contents(folder) == {name: FILES[name] for name in INT8}


def partial_files(hub: Hub) -> list[int]:
    return [path.stat().st_size for path in hub.cache.rglob("*.incomplete")]


def test_exactly_the_files_of_the_quantization_are_fetched(hub: Hub, server: HubServer) -> None:
    said = RecordedFetch()
    folder = fetch_model(PUBLISHED_MODEL, hub=hub, listener=said)
    assert contents(folder) == {name: FILES[name] for name in INT8}
    assert folder == hub.cache / "models--istupakov--parakeet-tdt-0.6b-v2-onnx" / "snapshots" / COMMIT
    [plan] = said.plans
    total = sum(len(FILES[name]) for name in INT8 - {"config.json"})
    assert (plan.total_bytes, plan.present_bytes, sum(said.counts)) == (total, 0, total)
    assert plan.free_bytes > total
    assert partial_files(hub) == []


def test_the_files_of_fp32_are_others(hub: Hub) -> None:
    folder = fetch_model(PUBLISHED_MODEL, quantization="fp32", hub=hub)
    names = {"config.json", "vocab.txt", "encoder-model.onnx", "encoder-model.onnx.data", "decoder_joint-model.onnx"}
    assert set(contents(folder)) == names


def test_both_quantizations_share_a_folder(hub: Hub) -> None:
    assert fetch_model(PUBLISHED_MODEL, hub=hub) == fetch_model(PUBLISHED_MODEL, quantization="fp32", hub=hub)


def test_what_is_here_is_used_without_a_question(hub: Hub, server: HubServer) -> None:
    folder = fetch_model(PUBLISHED_MODEL, hub=hub)
    server.requests.clear()
    said = RecordedFetch()
    assert fetch_model(PUBLISHED_MODEL, hub=hub, listener=said) == folder
    assert fetch_model(PUBLISHED_MODEL, hub=replace(hub, offline=True), listener=said) == folder
    assert server.requests == []
    assert said.plans == []


def test_the_token_goes_to_the_hub_alone(hub: Hub, server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch_model(PUBLISHED_MODEL, hub=hub)
    by_host = {(each.path.startswith("/cdn/"), each.token) for each in server.requests}
    assert by_host == {(False, "Bearer hf_secret"), (True, None)}


def test_a_broken_connection_goes_on_where_it_ended(hub: Hub, server: HubServer) -> None:
    server.faults.cut_after[WEIGHTS] = [1_500_000, 1_000_000]
    folder = fetch_model(PUBLISHED_MODEL, hub=hub)
    assert contents(folder)[WEIGHTS] == FILES[WEIGHTS]
    assert len(server.received_bytes_of(WEIGHTS)) == 3
    begins = [int((asked or "bytes=0-")[6:-1]) for asked in server.received_bytes_of(WEIGHTS)]
    assert begins == sorted(begins)
    assert begins[2] > 1_500_000


def test_the_next_run_goes_on_where_the_last_one_ended(hub: Hub, server: HubServer) -> None:
    server.faults.cut_after[WEIGHTS] = [2_000_000, 0, 0]
    with pytest.raises(ModelNotFetched, match=r"the connection to .* broke .* What was fetched is kept"):
        fetch_model(PUBLISHED_MODEL, hub=hub)
    [left] = partial_files(hub)
    assert left > 1_000_000
    said = RecordedFetch()
    folder = fetch_model(PUBLISHED_MODEL, hub=hub, listener=said)
    assert contents(folder) == {name: FILES[name] for name in INT8}
    assert said.plans[0].present_bytes == left
    assert server.received_bytes_of(WEIGHTS)[-1] == f"bytes={left}-"


def test_a_server_that_takes_no_ranges_sends_it_whole(hub: Hub, server: HubServer) -> None:
    server.faults.cut_after[WEIGHTS] = [2_000_000]
    server.faults.ignores_ranges = True
    said = RecordedFetch()
    folder = fetch_model(PUBLISHED_MODEL, hub=hub, listener=said)
    assert contents(folder)[WEIGHTS] == FILES[WEIGHTS]
    assert sum(said.counts) == said.plans[0].total_bytes


def test_a_partial_file_of_other_content_is_fetched_anew(hub: Hub, server: HubServer) -> None:
    server.faults.cut_after[WEIGHTS] = [2_000_000, 0, 0]
    with pytest.raises(ModelNotFetched):
        fetch_model(PUBLISHED_MODEL, hub=hub)
    [partial] = hub.cache.rglob("*.incomplete")
    partial.write_bytes(bytes(partial.stat().st_size))
    folder = fetch_model(PUBLISHED_MODEL, hub=hub)
    assert contents(folder)[WEIGHTS] == FILES[WEIGHTS]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(content(len(FILES[WEIGHTS]), 7), id="other bytes"),
        pytest.param(FILES[WEIGHTS][:-5], id="too short"),
        pytest.param(FILES[WEIGHTS] + b"more", id="too long"),
        pytest.param(b"", id="empty"),
    ],
)
@pytest.mark.parametrize("name", [WEIGHTS, "vocab.txt"])
def test_a_file_that_is_not_the_listed_one_is_refused_and_removed(
    hub: Hub, server: HubServer, name: str, sent: bytes
) -> None:
    server.faults.serve_instead[name] = sent
    with pytest.raises(ModelNotFetched, match=rf"{name} is not the file that its repository lists .* it was removed"):
        fetch_model(PUBLISHED_MODEL, hub=hub)
    assert partial_files(hub) == []
    model = hub_model(PUBLISHED_MODEL)
    assert model is not None
    assert cached_model(model, "int8", hub) is None
    # And the next attempt, once the server is sound, has it.
    server.faults.serve_instead.clear()
    assert contents(fetch_model(PUBLISHED_MODEL, hub=hub)) == {each: FILES[each] for each in INT8}


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (404, "RepoNotFound", r"has no repository istupakov/.* \(HTTP 404\): check the name, or set HF_TOKEN"),
        (401, "", r"has no repository istupakov/.* \(HTTP 401\): check the name, or set HF_TOKEN"),
        (403, "GatedRepo", "is gated: accept its terms there, and set HF_TOKEN"),
        (403, "", "answered with HTTP 403"),
        (429, "", "answered with HTTP 429"),
        (503, "", "answered with HTTP 503"),
    ],
)
def test_a_refusal_is_one_clear_error(hub: Hub, server: HubServer, status: int, code: str, why: str) -> None:
    server.faults.refuse = (status, code)
    with pytest.raises(ModelNotFetched, match=why) as caught:
        fetch_model(PUBLISHED_MODEL, hub=hub)
    assert caught.value.reason.endswith(WAYS_ON)
    assert "\n" not in caught.value.reason


@pytest.mark.parametrize("hash_of", ["../../../escaped", "", "0" * 39, "/etc/escaped"])
def test_a_hash_that_is_none_names_no_file(hub: Hub, server: HubServer, hash_of: str) -> None:
    server.faults.listed_hash = hash_of
    with pytest.raises(ModelNotFetched, match="does not answer as the hub does"):
        fetch_model(PUBLISHED_MODEL, hub=hub)
    assert list(hub.cache.parent.rglob("*escaped*")) == []


def test_a_sign_in_page_is_no_hub(hub: Hub, server: HubServer) -> None:
    server.faults.page = "<html>Welcome to the hotel</html>"
    with pytest.raises(ModelNotFetched, match="does not answer as the hub does"):
        fetch_model(PUBLISHED_MODEL, hub=hub)


def test_a_model_without_this_quantization_is_named(hub: Hub, server: HubServer) -> None:
    del server.files[ENCODER]
    with pytest.raises(ModelNotFetched, match="has no int8 ONNX model that onnx-asr can read"):
        fetch_model(PUBLISHED_MODEL, hub=hub)


def test_a_kind_of_model_that_is_not_known_is_named(tmp_path: Path) -> None:
    with HubServer("someone/model", {"config.json": b'{"model_type": "diffusion"}'}) as server:
        hub = Hub(server.url, tmp_path, offline=False, patience=QUICK)
        with pytest.raises(ModelNotFetched, match="has no int8 ONNX model that onnx-asr can read"):
            fetch_model("someone/model", hub=hub)


def test_a_slow_server_is_waited_for(hub: Hub, server: HubServer) -> None:
    server.faults.block_pause_seconds = 0.02
    said = RecordedFetch()
    assert set(contents(fetch_model(PUBLISHED_MODEL, hub=hub, listener=said))) == INT8
    assert len(said.counts) > 4


def test_a_server_that_falls_silent_is_given_up(hub: Hub, server: HubServer) -> None:
    server.faults.block_pause_seconds = 3.0
    with pytest.raises(ModelNotFetched, match="does not answer"):
        fetch_model(PUBLISHED_MODEL, hub=replace(hub, patience=replace(QUICK, silent_seconds=0.2)))


def test_without_a_network_one_error_names_the_ways_on(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        hub = Hub(f"http://127.0.0.1:{unused.getsockname()[1]}", tmp_path, offline=False)
        with pytest.raises(ModelNotFetched, match="cannot be reached") as caught:
            fetch_model(PUBLISHED_MODEL, hub=hub)
    for way in ("--model PATH", "--model tiny", "HF_ENDPOINT", "HF_HOME", "HF_HUB_OFFLINE"):
        assert way in caught.value.reason


def test_a_network_that_swallows_everything_is_given_up_before_ten_seconds(tmp_path: Path) -> None:
    # A server that accepts and never answers; the time limits are the defaults.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub = Hub(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path, offline=False)
        caught: list[ModelNotFetched] = []

        def fetch() -> None:
            with pytest.raises(ModelNotFetched, match="does not answer") as error:
                fetch_model(PUBLISHED_MODEL, hub=hub)
            caught.append(error.value)

        thread = threading.Thread(target=fetch, daemon=True)
        began = time.monotonic()
        thread.start()
        thread.join(10.0)
        assert caught, f"no answer after {time.monotonic() - began:.0f} s"


def test_offline_nothing_is_asked(hub: Hub, server: HubServer) -> None:
    with pytest.raises(ModelNotFetched, match=r"HF_HUB_OFFLINE is set, and .* does not hold it"):
        fetch_model(PUBLISHED_MODEL, hub=replace(hub, offline=True))
    assert server.requests == []


def test_a_disk_without_room_is_known_before_the_first_byte(
    hub: Hub, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_job.asr.hub.fetch.SPARE_DISK_BYTES", 10**18)
    with pytest.raises(ModelNotFetched, match=r"it takes [\d,]+ MB, and .* has [\d,]+ MB free"):
        fetch_model(PUBLISHED_MODEL, hub=hub)
    assert server.received_bytes_of(WEIGHTS) == []


def test_a_disk_that_fills_keeps_what_came(hub: Hub, server: HubServer) -> None:
    # As on a full disk, a write ends with an error after some bytes: SIGXFSZ is ignored by Python, EFBIG remains.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        with pytest.raises(ModelNotFetched, match=r"there is no room left in .* the next attempt goes on"):
            fetch_model(PUBLISHED_MODEL, hub=hub)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    [left] = partial_files(hub)
    assert 0 < left <= 2_000_000
    assert contents(fetch_model(PUBLISHED_MODEL, hub=hub))[WEIGHTS] == FILES[WEIGHTS]


def test_two_at_once_fetch_it_once(hub: Hub, server: HubServer) -> None:
    server.faults.block_pause_seconds = 0.005
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(fetch_model(PUBLISHED_MODEL, hub=hub))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 3
    assert len(set(folders)) == 1
    assert len(server.received_bytes_of(WEIGHTS)) == 1


def test_a_folder_that_lacks_the_weights_of_its_graph_is_not_whole(hub: Hub, server: HubServer) -> None:
    folder = fetch_model(PUBLISHED_MODEL, hub=hub)
    (folder / ENCODER).unlink()
    assert set(contents(fetch_model(PUBLISHED_MODEL, hub=hub))) == INT8


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (PUBLISHED_MODEL, HubModel(PUBLISHED_MODEL, "nemo-parakeet-tdt-0.6b-v2", REPOSITORY)),
        ("nemo-parakeet-tdt-0.6b-v2", HubModel("nemo-parakeet-tdt-0.6b-v2", "nemo-parakeet-tdt-0.6b-v2", REPOSITORY)),
        ("whisper-base", HubModel("whisper-base", "whisper-base", "istupakov/whisper-base-onnx")),
        ("someone/model", HubModel("someone/model", "someone/model", "someone/model")),
        ("nvidia/parakeet-tdt-1.1b", None),
        ("models/a/b", None),
        ("/tmp/model", None),
        ("./model", None),
        ("../model", None),
        ("model.nemo", None),
        ("", None),
    ],
)
def test_names_and_repositories(name: str, found: HubModel | None) -> None:
    assert hub_model(name) == found
