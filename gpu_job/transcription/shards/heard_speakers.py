"""What the shards of an upload heard of its speakers: all of it together is what the whole recording's windows say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from gpu_job.transcription.shards.facts import ShardFacts, digest_of
from gpu_job.transcription.shards.joined import NotJoinable, StoredShards


def heard_speakers(stored: StoredShards, shards: Sequence[ShardFacts], found: Mapping[int, bytes]) -> Iterator[bytes]:
    """What each shard heard, in order; read one by one. `shards`: facts that fit together, as `joined` says. `found`:
    by number, of shards whose range was decoded again. Raises NotJoinable, and what the storage client raises."""
    for before, after in pairwise(shards):
        # The network that hears who speaks takes audio that is turned over for another.
        if before.end is None or after.start is None or before.end.polarities != after.start.polarities:
            raise NotJoinable(f"the mix of shards is turned over at {after.shard.start} s")
    for facts in shards:
        number = facts.shard.number
        heard = found.get(number) or stored.speakers(number)
        if heard is None or digest_of(heard) != facts.speakers:
            raise NotJoinable(f"nothing is stored of who speaks in shard {number}, or another attempt's")
        yield heard
