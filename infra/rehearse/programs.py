"""The programs that come first on a rehearsal's PATH: a gcloud that asks the recorded project, and Terraform itself."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from infra.deploy import smoke

NOT_REHEARSED = "Not rehearsed: it needs the functions and jobs themselves; the tests run it on the laptop cloud."

_GCLOUD = """#!{python} -IS
import json, sys
from http.client import HTTPConnection
connection = HTTPConnection({address!r})
connection.request("POST", "/gcloud", json.dumps(sys.argv[1:]), {{"Content-Type": "application/json"}})
answer = json.loads(connection.getresponse().read())
if answer["output"]:
    print(answer["output"])
if answer["complaint"]:
    print(answer["complaint"], file=sys.stderr)
sys.exit(answer["status"])
"""

# The state is kept beside the configuration: its bucket exists nowhere.
_TERRAFORM = """#!/bin/sh
case "$2" in
init)
  printf 'terraform {{\\n  backend "local" {{}}\\n}}\\n' > "${{1#-chdir=}}/rehearsal_override.tf"
  exec {binary} "$1" init -reconfigure -input=false ;;
esac
exec {binary} "$@"
"""

_NO_TERRAFORM = """#!/bin/sh
case "$*" in
version) echo "Terraform v1.9.0" ;;
*"show -json"*) echo "{}" ;;
*) echo "SKIPPED: there is no terraform binary on the PATH, nor at $TERRAFORM." ;;
esac
"""

_PYTHON = """#!/bin/sh
case "$*" in "-m {smoke} "*) echo "{says}"; exit 0 ;; esac
exec {python} "$@"
"""


def write_programs(folder: Path, url: str, terraform: Path | None) -> None:
    """Put gcloud, terraform and python into `folder`; `url`: of the server that answers for gcloud."""
    folder.mkdir()
    texts = {
        "gcloud": _GCLOUD.format(python=sys.executable, address=urlsplit(url).netloc),
        "terraform": _NO_TERRAFORM if terraform is None else _TERRAFORM.format(binary=terraform),
        "python": _PYTHON.format(python=sys.executable, smoke=smoke.__name__, says=NOT_REHEARSED),
    }
    for name, text in texts.items():
        program = folder / name
        program.write_text(text)
        program.chmod(0o755)
