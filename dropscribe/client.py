"""The client of a deployment: files and objects become jobs.

It works over the deployment's buckets with Google's credentials, as everything that drops a file does: there is no
server of ours between. Programs without such credentials use the HTTP API.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from google.cloud.storage import Client

from dropscribe.erasure import DeploymentNames
from dropscribe.errors import NotSubmitted
from dropscribe.job import Job
from dropscribe.job_ids import job_id_of, upload_at
from dropscribe.uploads import Progress, drop
from shared.media import Upload
from shared.object_names import name_problem, object_name
from shared.objects import bucket_and_name
from shared.options.model import UploadOptions
from shared.state.jobs.store import JobStore


class Dropscribe:
    """A deployment. Safe to use from several threads."""

    def __init__(
        self,
        project: str | None = None,
        *,
        name: str = "dropscribe",
        bucket_prefix: str | None = None,
        uploads: str | None = None,
        state: str | None = None,
        results: str | None = None,
        storage: Client | None = None,
    ) -> None:
        """`Dropscribe("my-project")` is enough for a deployment with Terraform's own names.

        `project`: else GOOGLE_CLOUD_PROJECT. `uploads`, `state`, `results`: names of its buckets, else UPLOADS_BUCKET,
        STATE_BUCKET and RESULTS_BUCKET, else those that Terraform makes of `project`, `name` and `bucket_prefix`.
        `storage`: Google's client, where it is to be made another way.
        Raises ValueError where nothing says which deployment it is.
        """
        given, project = project is not None, project or os.environ.get("GOOGLE_CLOUD_PROJECT")
        if project and bucket_prefix is None:
            bucket_prefix = f"{project}-{name}"
        named = {"uploads": uploads, "state": state, "results": results}
        for purpose, bucket in named.items():
            if bucket is None:
                configured = None if given else os.environ.get(f"{purpose.upper()}_BUCKET")
                named[purpose] = configured or (f"{bucket_prefix}-{purpose}" if bucket_prefix else None)
        uploads, state = named["uploads"], named["state"]
        if uploads is None or state is None:
            raise ValueError(
                "Which deployment? Give a project, or set GOOGLE_CLOUD_PROJECT, or UPLOADS_BUCKET and STATE_BUCKET."
            )
        self._storage = storage or Client(project=project or "none")
        self._uploads = self._storage.bucket(uploads)
        self._state = state
        self._names = DeploymentNames(project or "none", named["results"], state) if named["results"] else None
        self._jobs = JobStore(self._storage.bucket(state))

    @property
    def buckets(self) -> tuple[str, str]:
        """Names of the uploads and the state bucket."""
        return str(self._uploads.name), self._state

    def submit(
        self,
        source: str | Path,
        options: UploadOptions | None = None,
        *,
        name: str | None = None,
        on_progress: Progress | None = None,
    ) -> Job:
        """Have a recording transcribed: a file of this machine, or an object `gs://BUCKET/NAME`.

        A file is uploaded, and goes on behind the last part that arrived where the connection breaks; an object of
        another bucket is copied by Cloud Storage. One of the uploads bucket is an upload already, whose options are
        its metadata. `name`: of the upload, whose results lie in a folder of that name; by default the file's.
        `on_progress`: called with the bytes that have arrived, and all. Each call is a job of its own, and costs.

        Raises NotSubmitted, UnknownJob where there is no such object, OSError for a file that cannot be read, and what
        Google's client raises.
        """
        uri = str(source)
        if isinstance(source, str) and "://" in source:
            if not uri.startswith("gs://"):
                raise NotSubmitted(f"{uri}: only files and gs:// addresses are taken; the HTTP API fetches https://.")
            return self._job(self._copied(uri, options, name).job_id)
        path = Path(source)
        name = object_name(PurePath(path.name)) if name is None else _checked(name)
        return self._job(drop(self._uploads, path, name, options, on_progress).job_id)

    def job(self, job: str) -> Job:
        """A job by its id, or by its upload's address, also with `#GENERATION`. Raises UnknownJob."""
        return self._job(job_id_of(self._storage, job))

    def _job(self, job_id: str) -> Job:
        return Job(self._storage, self._jobs, job_id, self._names)

    def _copied(self, uri: str, options: UploadOptions | None, name: str | None) -> Upload:
        upload = upload_at(self._storage, uri)
        metadata = options.metadata() if options else {}
        if upload.bucket == self._uploads.name:
            if metadata or name not in (None, upload.name):
                raise NotSubmitted(f"{uri} is an upload already: its options and its name are those that it has.")
            return upload
        source = self._storage.bucket(upload.bucket).get_blob(upload.name, generation=upload.generation)
        if source is None:
            raise NotSubmitted(f"{uri} does not exist.")
        target = self._uploads.blob(_checked(name or PurePath(bucket_and_name(uri)[1]).name))
        target.metadata, target.content_type = metadata or None, source.content_type
        token, _, _ = target.rewrite(source)
        while token is not None:
            token, _, _ = target.rewrite(source, token=token)
        return Upload(bucket=str(self._uploads.name), name=str(target.name), generation=int(target.generation))


def _checked(name: str) -> str:
    if (problem := name_problem(name)) is not None:
        raise NotSubmitted(f"No object can be called {name!r}: {problem}.")
    return name
