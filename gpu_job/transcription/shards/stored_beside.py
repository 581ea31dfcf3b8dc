"""What the shards of an upload stored beside their facts, for all of it together: what they heard of its speakers,
and the audio that another engine may hear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from gpu_job.transcription.shards.facts import ShardFacts, digest_of
from gpu_job.transcription.shards.joined import NotJoinable, StoredShards


def heard_speakers(stored: StoredShards, shards: Sequence[ShardFacts], found: Mapping[int, bytes]) -> Iterator[bytes]:
    """What each shard heard, in order; read one by one. `shards`: facts that fit together, as `joined` says. `found`:
    by number, of shards whose range was decoded again. Raises NotJoinable, and what the storage client raises."""
    return _beside(shards, stored.speakers, lambda facts: facts.speakers, found, "who speaks")


def kept_audio(stored: StoredShards, shards: Sequence[ShardFacts], found: Mapping[int, bytes]) -> Iterator[bytes]:
    """The audio that each shard kept for second opinions, in the same way."""
    return _beside(shards, stored.opinions, lambda facts: facts.opinions, found, "second opinions")


def _beside(
    shards: Sequence[ShardFacts],
    read: Callable[[int], bytes | None],
    known: Callable[[ShardFacts], str | None],
    found: Mapping[int, bytes],
    what: str,
) -> Iterator[bytes]:
    for before, after in pairwise(shards):
        # A network may take audio that is turned over for another.
        if before.end is None or after.start is None or before.end.polarities != after.start.polarities:
            raise NotJoinable(f"the mix of shards is turned over at {after.shard.start} s")
    for facts in shards:
        number = facts.shard.number
        data = found.get(number) or read(number)
        if data is None or digest_of(data) != known(facts):
            raise NotJoinable(f"nothing is stored for {what} of shard {number}, or another attempt's")
        yield data
