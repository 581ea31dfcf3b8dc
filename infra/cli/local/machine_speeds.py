"""How fast this machine was in earlier runs, with each model: what the first estimate of a run is made from."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import typer
from pydantic import ValidationError

from shared.costs.speeds import DeviceSpeed, Observations, Speeds, execution_figures, learned_speeds
from shared.errors import best_effort

DEVICE = "cpu"
"""What the laptop cloud's quotes and bills are of."""


class MachineSpeeds:
    """A file in the folder that typer keeps for a program, such as ~/.config/dropscribe on Linux.

    One that cannot be read or written costs the next estimate its accuracy, and nothing else.
    """

    def __init__(self, model: str, folder: Path | None = None) -> None:
        digest = hashlib.sha256(os.fsencode(model)).hexdigest()[:12]
        self._path = (folder or Path(typer.get_app_dir("dropscribe"))) / f"speeds-{digest}.json"
        self._seen = self._load()

    def expected(self, initial: Speeds) -> DeviceSpeed:
        """The speed of the next run. `initial`: where there was none yet."""
        return learned_speeds(initial, self._seen, prior_weight=0).of(DEVICE)

    @property
    def is_measured(self) -> bool:
        """Whether a run was long enough to show how fast this machine is with this model."""
        return any(name.startswith("x_real_time") for name in self._seen.figures)

    def keep(self, startup_seconds: float, x_real_time: float | None) -> None:
        """What a run showed: the time until its first words, and its speed from then on; None: not seen."""
        figures = execution_figures(
            DEVICE,
            startup_seconds=startup_seconds,
            audio_seconds=x_real_time or 0.0,
            engine_seconds=1.0 if x_real_time else 0.0,
        )
        if not figures:
            return
        with best_effort("speeds not kept"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial = self._path.with_suffix(f".{os.getpid()}.part")
            partial.write_text(self._load().with_run(figures).model_dump_json())
            partial.replace(self._path)

    def _load(self) -> Observations:
        try:
            return Observations.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return Observations()
