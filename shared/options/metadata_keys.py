"""The keys of an object's custom metadata with which the owner of an upload says what is asked for it."""

PREFIX = "transcribe-"
"""Of every key."""

METHOD_METADATA = "transcribe-method"
CHANNELS_METADATA = "transcribe-channels"
TRACK_METADATA = "transcribe-track"
SUBTITLES_METADATA = "transcribe-subtitles"
SPEAKERS_METADATA = "transcribe-speakers"
SPEAKER_NAMES_METADATA = "transcribe-speaker-names"
KEYTERMS_METADATA = "transcribe-keyterms"
KEYTERMS_FILE_METADATA = "transcribe-keyterms-file"
PRIVACY_METADATA = "transcribe-privacy"
DEADLINE_METADATA = "transcribe-deadline-minutes"
MAX_COST_METADATA = "transcribe-max-cost"
VIDEO_ID_METADATA = "transcribe-video-id"
WEBHOOK_METADATA = "transcribe-webhook"
WEBHOOK_BODY_METADATA = "transcribe-webhook-body"

KEYS = frozenset(value for name, value in globals().items() if name.endswith("_METADATA"))
"""All of them."""
