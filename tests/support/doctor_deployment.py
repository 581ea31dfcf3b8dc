"""A deployment to be examined: Google's admin APIs, and real storage with its state bucket, on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from google.cloud.storage import Bucket, Client

from infra.doctor.names import Names
from infra.doctor.report import Report, diagnose
from infra.doctor.settings import DoctorSettings
from infra.rehearse.google_apis import GoogleApis, GoogleState
from shared.costs.prices import PriceBook
from tests.support.command_stand_ins import READY, CommandStandIns, command_stand_ins
from tests.support.faulty_storage import FaultyStorageServer

NAMES = Names("a-project", "us-central1")
KEY = "correct-horse"

Lines = dict[str, set[str]]
"""Statuses of each subject's lines."""


@dataclass(frozen=True)
class DoctorDeployment:
    """The servers and programs that answer for it, and its state bucket."""

    apis: GoogleApis
    storage: FaultyStorageServer
    commands: CommandStandIns
    state: Bucket
    folder: Path
    setenv: Callable[[str, str], None]

    @property
    def google(self) -> GoogleState:
        """What the APIs know."""
        return self.apis.google

    def report(self) -> Report:
        """The doctor's."""
        return diagnose(NAMES, DoctorSettings())

    def use_prices_of(self, day: datetime, region: str = "us-central1") -> None:
        """A price book of that day."""
        shipped = PriceBook.load()
        text = (Path(__file__).parents[2] / "shared" / "costs" / "prices.toml").read_text()
        path = self.folder / "prices.toml"
        text = text.replace(f"read_on = {shipped.read_on}", f"read_on = {day:%Y-%m-%d}")
        path.write_text(text.replace(f'"{shipped.region}"', f'"{region}"'))
        self.setenv("PRICE_BOOK", str(path))


def not_ok(report: Report) -> Lines:
    """The statuses that are not ok, by subject."""
    lines: Lines = {}
    for finding in report.findings():
        if finding.status != "ok":
            lines.setdefault(finding.subject, set()).add(finding.status.value)
    return lines


def fixes(report: Report, subject: str) -> str:
    """What to do about a subject."""
    return "\n".join(finding.fix for finding in report.findings() if finding.subject == subject)


@contextmanager
def doctor_deployment(
    google: GoogleState, folder: Path, setenv: Callable[[str, str], None], key: Path
) -> Iterator[DoctorDeployment]:
    """Start the servers, and lead the doctor to them and nowhere else."""
    with GoogleApis(google) as apis, FaultyStorageServer(folder / "objects") as storage:
        account = json.loads(key.read_text()) | {"token_uri": f"{apis.url}/oauth2.googleapis.com/token"}
        credentials = folder / "credentials.json"
        credentials.write_text(json.dumps(account))
        environment = {
            "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
            "GOOGLE_APIS_ENDPOINT": apis.url,
            "STORAGE_EMULATOR_HOST": storage.url,
            "DEEPGRAM_BASE_URL": f"{apis.url}/api.deepgram.com",
            # google-auth asks iamcredentials.googleapis.com by itself, in a thread: it shall reach nobody.
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        }
        for name, value in environment.items():
            setenv(name, value)
        commands = command_stand_ins(folder / "programs", setenv, "gcloud", "terraform")
        commands.answer(**READY)
        state = Client(project=NAMES.project).create_bucket(NAMES.bucket("state"))
        opened = DoctorDeployment(apis, storage, commands, state, folder, setenv)
        opened.use_prices_of(datetime.now(UTC))
        yield opened
