"""`python -m infra.dashboards`: write both dashboards from their definition."""

from __future__ import annotations

import json
from pathlib import Path

from infra.dashboards import cloud_monitoring, grafana

FOLDER = Path(__file__).parent


def rendered() -> dict[str, str]:
    """File name -> content."""
    dashboards = {"cloud_monitoring.json": cloud_monitoring.dashboard(), "grafana.json": grafana.dashboard()}
    return {name: json.dumps(dashboard, indent=2) + "\n" for name, dashboard in dashboards.items()}


if __name__ == "__main__":
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)
