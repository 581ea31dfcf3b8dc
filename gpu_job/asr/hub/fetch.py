"""A published model, fetched once: from its name to its folder in the cache that all of the hub's tools share."""

from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import httpx2
from huggingface_hub import HfApi, constants, get_cached_repo_tree, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import WeakFileLock

from gpu_job.asr.hub.download import HubFile, Patience, download, partial_path
from gpu_job.asr.hub.errors import FetchFailed, ModelNotFetched, why_not_fetched
from gpu_job.asr.hub.files import CONFIG, model_files, names_to_fetch, weights_of
from gpu_job.asr.hub.names import HubModel, Quantization, hub_model

_log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_ANSWER_SECONDS = 9.0
"""Longest wait for the hub's first answer, name resolution included, which has no time limit of its own."""

SPARE_DISK_BYTES = 100 * 10**6
"""Disk that stays free behind a fetch."""


@dataclass(frozen=True)
class Hub:
    """Where published models are, and where they are kept. The defaults are the hub's tools' own settings."""

    endpoint: str = constants.ENDPOINT
    """HF_ENDPOINT."""
    cache: Path = Path(constants.HF_HUB_CACHE)
    """HF_HUB_CACHE, or `hub` in HF_HOME."""
    offline: bool = constants.HF_HUB_OFFLINE
    """HF_HUB_OFFLINE: nothing is asked of the network."""
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class FetchPlan:
    """What will be fetched, known before the first byte of it."""

    model: HubModel
    quantization: Quantization
    url: str
    """Of the repository."""
    cache: Path
    total_bytes: int
    """Of the files that are not here yet."""
    present_bytes: int
    """Of these, what an earlier attempt left."""
    free_bytes: int
    """On the disk of the cache."""


class FetchListener(Protocol):
    """What a fetch tells others. Called on the thread that fetches."""

    def planned(self, plan: FetchPlan) -> None:
        """Before the first byte."""

    def received(self, count: int) -> None:
        """So many bytes came; negative: so many have to come again."""


class LoggingListener:
    """For programs without a screen: one line when a fetch begins, and one each tenth of it."""

    def planned(self, plan: FetchPlan) -> None:
        """Log what is fetched."""
        self._received, self._total, self._tenths = plan.present_bytes, max(1, plan.total_bytes), 0
        fields = {"model": plan.model.name, "from": plan.url, "to": str(plan.cache), "bytes": plan.total_bytes}
        _log.info("a model is fetched", extra={"fields": {**fields, "free_bytes": plan.free_bytes}})

    def received(self, count: int) -> None:
        """Log each tenth."""
        self._received += count
        tenths = 10 * self._received // self._total
        if tenths > self._tenths:
            self._tenths = tenths
            _log.info("a model is being fetched", extra={"fields": {"percent": 10 * tenths}})


def cached_model(model: HubModel, quantization: Quantization, hub: Hub | None = None) -> Path | None:
    """The model's folder where it is whole in the cache. Asks nothing of the network."""
    cache = (hub or Hub()).cache
    try:
        folder = Path(snapshot_download(model.repository, cache_dir=cache, local_files_only=True))
    except IncompleteSnapshotError as error:
        folder = Path(error.snapshot_path)  # it lacks some file of the repository, which need not be the model's
    except LocalEntryNotFoundError:
        return None
    try:
        files = model_files(folder, model, quantization)
    except FetchFailed:
        return None
    listed = _cached_listing(model, cache)
    names = [path.relative_to(folder).as_posix() for path in files]
    is_whole = all((folder / weights).is_file() for name in names for weights in weights_of(name, listed))
    return folder if is_whole else None


def fetch_model(
    name: str,
    *,
    quantization: Quantization = "int8",
    listener: FetchListener | None = None,
    hub: Hub | None = None,
    revision: str | None = None,
) -> Path:
    """The folder of the published model `name`, as onnx-asr lays it out; fetched where it is not here yet.

    What is here is used as it is, without a question to the network. What is fetched goes on where an earlier attempt
    ended, is compared with the hashes that the hub lists, and stands in the cache only when it is whole.
    `quantization`: which of the repository's graphs. `revision`: a branch, tag or commit that is fetched, and found
    offline, instead of the newest. Raises ModelNotFetched.
    """
    hub = hub or Hub()
    model = hub_model(name)
    if model is None:
        raise ModelNotFetched(name, "it is no file or folder here, and no name of a published model.")
    if (folder := cached_model(model, quantization, hub)) is not None:
        return folder
    try:
        if hub.offline:
            raise OfflineModeIsEnabled
        return _Fetch(model, quantization, hub, listener or LoggingListener(), revision).run()
    except (FetchFailed, OSError, httpx2.HTTPError, ValueError, TypeError, LookupError) as error:
        # The last three are what the hub's client makes of an answer that is none of the hub's.
        why = why_not_fetched(error, hub.endpoint, model.repository, str(hub.cache))
        raise ModelNotFetched(name, why) from error


class _Fetch:
    def __init__(
        self,
        model: HubModel,
        quantization: Quantization,
        hub: Hub,
        listener: FetchListener,
        revision: str | None = None,
    ) -> None:
        self._model = model
        self._revision = revision
        self._quantization = quantization
        self._hub = hub
        self._listener = listener
        folder = f"models--{model.repository.replace('/', '--')}"
        self._blobs = hub.cache / folder / "blobs"
        self._lock = hub.cache / ".locks" / folder / "dropscribe.lock"

    def run(self) -> Path:
        info = _in_time(self._repository_info)
        if info.sha is None or not _HASH.fullmatch(info.sha) or info.siblings is None:
            raise TypeError("no commit or no files in the answer")
        files = {sibling.rfilename: _file(sibling) for sibling in info.siblings}
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        # Two processes would write into the same partial file; the second one finds the model in the cache.
        with WeakFileLock(self._lock):
            if (folder := cached_model(self._model, self._quantization, self._hub)) is not None:
                return folder
            return self._fetch(info.sha, files)

    def _repository_info(self) -> ModelInfo:
        api = HfApi(endpoint=self._hub.endpoint)
        timeout = self._hub.patience.connect_seconds
        return api.model_info(self._model.repository, revision=self._revision, files_metadata=True, timeout=timeout)

    def _fetch(self, commit: str, files: dict[str, HubFile]) -> Path:
        config = None
        if CONFIG in files:
            # It says what kind of model it is, and so which files it has.
            self._download(commit, files[CONFIG], lambda _: None)
            config = (self._blobs / files[CONFIG].hash).read_bytes()
        names = names_to_fetch(files, config, self._model, self._quantization)
        missing = [files[name] for name in names if not (self._blobs / files[name].hash).exists()]
        self._listener.planned(self._plan(missing))
        for file in missing:
            self._download(commit, file, self._listener.received)
        for name in names:
            self._link(name, commit)
        # And that this commit is the newest, which `cached_model` goes by.
        self._link(names[0], constants.DEFAULT_REVISION)
        if self._revision is not None:
            (self._blobs.parent / "refs" / constants.DEFAULT_REVISION).write_text(commit)
        return Path(self._link(names[0], commit)).parent.joinpath(*[".."] * names[0].count("/")).resolve()

    def _plan(self, missing: Sequence[HubFile]) -> FetchPlan:
        """Raises FetchFailed where the disk has no room for it."""
        partials = [partial_path(self._blobs / file.hash) for file in missing]
        plan = FetchPlan(
            model=self._model,
            quantization=self._quantization,
            url=f"{self._hub.endpoint}/{self._model.repository}",
            cache=self._hub.cache,
            total_bytes=sum(file.size for file in missing),
            present_bytes=sum(path.stat().st_size for path in partials if path.exists()),
            free_bytes=shutil.disk_usage(self._blobs).free,
        )
        needed = plan.total_bytes - plan.present_bytes + SPARE_DISK_BYTES
        if missing and needed > plan.free_bytes:
            raise FetchFailed(
                f"it takes {needed / 1e6:,.0f} MB, and {plan.cache} has {plan.free_bytes / 1e6:,.0f} MB free. HF_HOME"
                " names another place."
            )
        return plan

    def _download(self, commit: str, file: HubFile, on_bytes: Callable[[int], None]) -> None:
        blob = self._blobs / file.hash
        if not blob.exists():
            url = hf_hub_url(self._model.repository, file.name, revision=commit, endpoint=self._hub.endpoint)
            download(url, file, blob, self._hub.patience, on_bytes)

    def _link(self, name: str, revision: str) -> str:
        """Have the hub's own client enter a file that is whole into its cache; it fetches nothing."""
        return hf_hub_download(
            self._model.repository, name, revision=revision, cache_dir=self._hub.cache, endpoint=self._hub.endpoint
        )


_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""Of git, and SHA-256: files in the cache are named by them."""


def _file(sibling: RepoSibling) -> HubFile:
    """Raises TypeError where the hub says neither size nor hash, or another text instead of a hash."""
    hash_of = sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id
    size = sibling.lfs.size if sibling.lfs is not None else sibling.size
    if size is None or hash_of is None or not _HASH.fullmatch(hash_of):
        raise TypeError(f"no size or hash of {sibling.rfilename} in the answer")
    return HubFile(sibling.rfilename, size, hash_of, is_large=sibling.lfs is not None)


def _cached_listing(model: HubModel, cache: Path) -> list[str]:
    """The repository's files, where another of the hub's tools left a list of them in the cache."""
    try:
        return [file.path for file in get_cached_repo_tree(model.repository, cache_dir=cache)]
    except CachedRepoTreeNotFoundError:
        return []


def _in_time(call: Callable[[], T]) -> T:
    """What `call` returns or raises. Raises TimeoutError where it takes longer than a person should wait."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    # Not an executor's thread: the interpreter would wait for it at its end.
    thread = threading.Thread(target=run, name="hub", daemon=True)
    thread.start()
    thread.join(FIRST_ANSWER_SECONDS)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]
