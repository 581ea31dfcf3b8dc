"""The API's own settings, beside those of the function, which it reads, too."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import SecretStr, TypeAdapter, ValidationError, model_validator
from pydantic_settings import BaseSettings

from shared.settings.field import SETTINGS_CONFIG, CommaSeparated, setting
from trigger_function.api.web.callers import ApiKey, is_source

_KEYS = TypeAdapter(tuple[ApiKey, ...])


class Authorisation(StrEnum):
    """Who is let in."""

    IAM = "iam"
    KEYS = "keys"


class ApiSettings(BaseSettings):
    """What the API takes of whom, and how much."""

    model_config = SETTINGS_CONFIG

    api_authorisation: Authorisation = setting(
        Authorisation.IAM,
        "`iam`: whoever Cloud Run lets in may do everything. `keys`: each request needs a key of API_KEYS as well.",
    )
    api_keys: SecretStr | None = setting(
        None,
        "JSON list of keys: `id`, `sha256` of the key, and where they apply `folder`, `monthly_budget_usd`, `sources`"
        " (docs/api.md).",
    )
    api_hosts: CommaSeparated = setting(
        (),
        "Values of the Host header that are answered; then pages of other origins are refused, too. None: all.",
        unit="comma-separated, with ports",
    )
    api_source_buckets: CommaSeparated = setting(
        (),
        "Where `gs://` recordings may be copied from, beside the uploads bucket: `BUCKET/` or `BUCKET/FOLDER/`.",
        unit="comma-separated",
        source="the API's account reads more than its callers may",
    )
    api_max_body_bytes: int = setting(
        30_000_000,
        "Largest recording in the body of a request; a larger one gets an address to upload it to.",
        unit="bytes",
        source="Cloud Run takes no larger request over HTTP/1 than 32 MiB, and a body is held in memory",
        gt=0,
        le=33_000_000,
    )
    api_max_upload_bytes: int = setting(
        20_000_000_000,
        "Largest recording that is copied, fetched, or uploaded to an address of the API.",
        unit="bytes",
        source="24 h of uncompressed stereo at 48 kHz are 16.6 GB",
        gt=0,
    )
    api_body_seconds: float = setting(
        60.0, "Longest time in which a body is to arrive.", unit="s", source="30 MB at 4 Mbit/s", gt=0
    )
    api_fetch_seconds: float = setting(
        240.0,
        "Longest time in which a recording is fetched from an https address, within the request that names it.",
        unit="s",
        source="the function's timeout of 300 s, less what else a request takes",
        gt=0,
        le=3500,
    )
    api_wait_seconds: float = setting(
        240.0,
        "After which `/v1/audio/transcriptions` and `/v1/listen` answer 202 where there is no transcript yet; from the"
        " request's beginning.",
        unit="s",
        source="the function's timeout of 300 s, less what else a request takes",
        ge=0,
        le=3500,
    )
    api_upload_seconds: float = setting(
        3600.0, "How long an address is valid to which a recording is uploaded.", unit="s", gt=0, le=604800
    )
    api_result_seconds: float = setting(
        3600.0, "How long the addresses of results are valid.", unit="s", gt=0, le=604800
    )

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        try:
            keys = self.keys
        except ValidationError as error:
            # By place and rule alone: the value is a secret.
            first = error.errors(include_url=False, include_input=False)[0]
            raise ValueError(f"API_KEYS: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if self.api_authorisation is Authorisation.KEYS and not keys:
            raise ValueError("API_AUTHORISATION is keys without API_KEYS: nobody could be let in")
        if len({key.id for key in keys or ()}) < len(keys or ()):
            raise ValueError("API_KEYS has an id twice")
        if not all(map(is_source, self.api_source_buckets)):
            raise ValueError("API_SOURCE_BUCKETS has to be like BUCKET/ or BUCKET/FOLDER/")
        return self

    @property
    def keys(self) -> tuple[ApiKey, ...] | None:
        """None: IAM alone decides. Raises ValidationError."""
        if self.api_authorisation is Authorisation.IAM:
            return None
        return _KEYS.validate_json(self.api_keys.get_secret_value()) if self.api_keys else ()
