"""Which model a command on this machine transcribes with: the published one, fetched once, unless told otherwise."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from gpu_job.asr.hub.names import Quantization, hub_model
from gpu_job.asr.onnx.model_folder import is_onnx_folder
from infra.cli.errors import CommandError
from infra.cli.exit_codes import ExitCode
from infra.cli.progress.fetch import FetchProgress
from infra.tiny_parakeet import GERMAN_ONNX_PATH, ONNX_PATH
from shared.languages.choice import LanguageChoice
from shared.languages.models import LANGUAGE_MODELS, OTHER, PUBLISHED_MODEL, LanguageModels

TINY = "tiny"
"""The name of the built-in model: what the demo is for, and nothing else."""
TINY_MODELS = {TINY: ONNX_PATH, "tiny-de": GERMAN_ONNX_PATH}
"""The second one, of 64 German words, is for tests of several languages."""
_TINY_LANGUAGES = {TINY: "en", "tiny-de": "de"}


def chosen_model(asked: str | None, console: Console) -> str:
    """What `--model` says -> what the job is given: a path, or a name that it finds in the hub's cache.

    Progress goes to `console`. Raises CommandError where there is no such file, and ModelNotFetched.
    """
    if asked in TINY_MODELS:
        return str(TINY_MODELS[asked])
    name = asked or PUBLISHED_MODEL
    # A relative path is relative to the caller; the job runs in another directory.
    if (path := Path(name)).exists():
        if not is_onnx_folder(path) and find_spec("nemo") is None:
            raise CommandError(
                f"{name} takes NeMo: install dropscribe[gpu], or give a folder with ONNX networks.", ExitCode.NO_MODEL
            )
        return str(path.resolve())
    if hub_model(name) is not None:
        _fetch(name, console)
    elif not name.startswith("nvidia/") or find_spec("nemo") is None:
        raise CommandError(
            f"{name}: there is no such file or folder, and no published model of this name. --model {TINY} takes the"
            " built-in model, which knows 145 words.",
            ExitCode.NO_MODEL,
        )
    return name


def model_for(asked: str | None, choice: LanguageChoice | None) -> str | None:
    """What `chosen_model` is to choose. `asked`: as `--model` has it; `choice`: as `--language` has it.

    Raises CommandError where the model does not have the language, as far as its languages are known, or none has it.
    """
    if choice is None:
        return asked
    if asked is None:
        found = _table().model_for(choice)
        if found is None:
            raise CommandError(f"LANGUAGE_MODELS has no model for {choice}; --model names one.", ExitCode.NO_MODEL)
        return found.model
    known = _languages_of(asked)
    missing = [code for code in choice.codes if code not in known]
    if known and missing:
        others = [name for name, language in _TINY_LANGUAGES.items() if asked in TINY_MODELS and [language] == missing]
        advice = f"--model {others[0]} has it" if others else "without --model, LANGUAGE_MODELS says which one has it"
        raise CommandError(
            f"The model {asked} has {', '.join(sorted(known))}, not {', '.join(missing)}: {advice}.", ExitCode.USAGE
        )
    return asked


def _languages_of(model: str) -> frozenset[str]:
    """Languages that a model has; none where that is not known, or it has any."""
    if (tiny := _TINY_LANGUAGES.get(model)) is not None:
        return frozenset({tiny})
    named = (one.languages for one in _table().models if one.model == model)
    languages = next(named, frozenset())
    return frozenset() if OTHER in languages else languages


def _table() -> LanguageModels:
    try:
        return LanguageModels.parse(os.environ.get("LANGUAGE_MODELS") or LANGUAGE_MODELS)
    except ValueError as error:
        raise CommandError(f"LANGUAGE_MODELS: {error}.", ExitCode.NO_MODEL) from None


def _fetch(name: str, console: Console) -> None:
    """Have a published model in the hub's cache."""
    from gpu_job.asr.hub.fetch import fetch_model

    with FetchProgress(console) as progress:
        # As the job will load it, whose environment is this one's.
        quantization: Quantization = "fp32" if os.environ.get("MODEL_PRECISION") == "fp32" else "int8"
        fetch_model(name, quantization=quantization, listener=progress)
