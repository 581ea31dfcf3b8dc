"""A worker whose uploads are in two languages: each is heard with its own model, in one execution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from infra.recordings import recording
from infra.tiny_parakeet import GERMAN_ONNX_PATH, ONNX_PATH
from shared.costs.bill import Phase
from shared.costs.gathering import Queue
from shared.costs.shard_plan import Shard
from shared.costs.speeds import Observations, learned_speeds
from shared.media import Media
from shared.messages import TerminalMessage
from shared.options.parsing import parse_upload_options
from shared.settings.speeds import SpeedSettings
from shared.transcript.model import Transcript
from tests.support.fixed_word_worker import item_of, worker
from tests.support.loopback_cloud import PROJECT, RESULTS, STATE, WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE
from tests.support.worker_services import queue_job, worker_services
from trigger_function.routing.limits import Conditions, UploadFacts
from trigger_function.routing.router import Router
from trigger_function.settings.function import FunctionSettings

ENGLISH = recording("memo.wav")
GERMAN = Path(__file__).parents[2] / "support" / "recordings" / "german.opus"
SAID = (
    "Ursula bringt niemals schwarze Bücher, und Sabine findet neun Gärten. Wer öffnet morgen schöne Häuser? Jürgen malt"
    " neue Fenster jetzt."
)
"""By espeak-ng's voice `gmw/de+Mike`, in sentences that the model was not trained on."""


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    for name, value in {
        "WORK_IDLE_SECONDS": "0",
        "WORK_SUBSCRIPTION": f"{WORK_TOPIC}-test",
        "JOB_GPU": "none",
        "PARAKEET_MODEL_NAME": str(ONNX_PATH),
        "LANGUAGE_MODELS": f"{GERMAN_ONNX_PATH}=de",
        "MODEL_PRECISION": "fp32",
        "UPLOADS_IN_FLIGHT": "4",
    }.items():
        monkeypatch.setenv(name, value)
    with worker_services() as made:
        yield made


def queued(
    cloud: LoopbackCloud,
    services: JobServices,
    name: str,
    path: Path,
    codec: str,
    shards: tuple[Shard, ...] = (),
    **metadata: str,
) -> None:
    data = path.read_bytes()
    media = Media(
        container=path.suffix[1:],
        codec=codec,
        duration_seconds=11.2 if path == GERMAN else ENGLISH.duration,
        sample_rate_hz=16000,
        channels=1,
        size_bytes=len(data),
    )
    options = parse_upload_options({f"transcribe-{key}": value for key, value in metadata.items()})
    job, _ = queue_job(services, cloud, name, data=data, media=media, options=options, shards=shards)
    topic = services.publisher.topic_path(PROJECT, WORK_TOPIC)
    whole = item_of(job)
    for item in [whole.model_copy(update={"shard": shard.number}) for shard in shards] or [whole]:
        services.publisher.publish(topic, item.model_dump_json().encode()).result(timeout=PATIENCE)


def transcript(cloud: LoopbackCloud, message: TerminalMessage) -> Transcript:
    key = message.results["transcript.json"].removeprefix(f"gs://{RESULTS}/")
    return Transcript.model_validate_json(cloud.storage.bucket(RESULTS).blob(key).download_as_bytes())


def test_two_models_serve_a_mixed_queue_in_one_execution(cloud: LoopbackCloud, services: JobServices) -> None:
    for number in range(2):
        queued(cloud, services, f"en-{number}.wav", ENGLISH.path, "pcm_s16le")
        queued(cloud, services, f"de-{number}.opus", GERMAN, "opus", language="de-DE")
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    messages = cloud.terminal_messages()
    found = {message.upload.name: transcript(cloud, message) for message in messages}
    assert {name: one.text for name, one in found.items()} == {
        "en-0.wav": ENGLISH.text,
        "en-1.wav": ENGLISH.text,
        "de-0.opus": SAID,
        "de-1.opus": SAID,
    }
    assert {
        name: (one.language, one.model) for name, one in found.items() if name.endswith("0.wav") or "de-0" in name
    } == {
        "en-0.wav": ("en", ONNX_PATH.name),
        "de-0.opus": ("de-DE", GERMAN_ONNX_PATH.name),
    }
    assert len({message.execution for message in messages}) == 1


def test_an_upload_in_shards_of_whose_language_nothing_is_known_is_heard_by_the_deployments_own_model(
    cloud: LoopbackCloud, services: JobServices
) -> None:
    """There is no trial: of models with a language each, the own one is the guess."""
    shards = (Shard(0, 0, 4), Shard(1, 4, None))
    queued(cloud, services, "long.wav", ENGLISH.path, "pcm_s16le", shards, language="auto")
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    found = transcript(cloud, message)
    assert (found.text, found.language, found.model) == (ENGLISH.text, "en", ONNX_PATH.name)


def test_the_trial_of_a_quote_is_what_the_worker_bills(
    cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both models hear the upload, one of them for the trial alone: as many seconds as the quote has, at the speeds
    that this execution shows."""
    queued(cloud, services, "unknown.wav", ENGLISH.path, "pcm_s16le", language="auto")
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    assert transcript(cloud, message).model == ONNX_PATH.name
    assert message.media is not None

    stored = Observations.model_validate_json(cloud.storage.bucket(STATE).blob("speeds.json").download_as_bytes())
    initial = replace(SpeedSettings().initial_speeds(None), decode_x_real_time=1e9)
    speeds = learned_speeds(initial, stored, prior_weight=0)
    assert speeds.models.keys() == {("cpu", str(GERMAN_ONNX_PATH))}
    monkeypatch.setenv("GPU_JOB", "")
    monkeypatch.setenv("CPU_JOB", "projects/p/locations/l/jobs/cpu")
    shape = services.settings.shape
    settings = FunctionSettings(cpu_job_vcpu=shape.vcpu, cpu_job_memory_gib=shape.memory_gib)
    facts = UploadFacts(message.job_id, message.media, parse_upload_options({"transcribe-language": "auto"}))
    routing = Router.from_settings(settings, services.prices)
    quote = routing.quotes(facts, Conditions(speeds, cpu_queue=Queue(running=True)))[0]

    trial = [item for item in quote.bill.items if "language trial" in item.resource]
    said = {item.resource.partition("language trial: ")[2] for item in trial}
    assert said == {f"{ENGLISH.duration:.0f} s by {GERMAN_ONNX_PATH.name})"}
    billed, quoted_usd = (bill.usd_of(phase=Phase.TRANSCRIPTION) for bill in (message.bill, quote.bill))
    assert billed == pytest.approx(quoted_usd, rel=0.05)
    assert sum(item.usd for item in trial) > 0
