"""Compare the sound that arrived with the packets of the file: what has packets and was not heard is lost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from gpu_job.audio.decoder.records import Account, Loss, PacketTimes
from gpu_job.audio.samples import SAMPLE_RATE, AudioBlock, seconds

LOST_REASON = "The file has audio here that was not decoded."

MIN_LOST_SECONDS = 0.2
"""Decoder delays, and clocks that drift against the samples, make differences of 0.1 s."""

END_TOLERANCE_SECONDS = 0.5
"""Of the whole length: encoders pad, and containers cut the padding off."""

DRIFT_SECONDS = 10.0
"""Differences this close together add up to one; those of a drifting clock are further apart."""

FrameRange = tuple[int, int]
"""[start, end) in frames of the output."""


@dataclass
class HeardSound:
    """Where samples arrived."""

    frames: int = 0
    """Of the output, with the silence that stands for pauses."""
    ranges: list[FrameRange] = field(default_factory=list)
    """In order, without that silence."""

    def add(self, block: AudioBlock) -> None:
        """The next block of the output."""
        start, self.frames = self.frames, self.frames + len(block.samples)
        if block.is_pause:
            return
        if self.ranges and self.ranges[-1][1] == start:
            start = self.ranges.pop()[0]
        self.ranges.append((start, self.frames))


def lost_by_packets(packets: PacketTimes, account: Account, heard: HeardSound, known: Iterable[Loss]) -> list[Loss]:
    """What is not among the `known` losses."""
    lost: list[Loss] = []
    frames = heard.frames
    if account.frames > frames:
        lost.append(Loss(frames, account.frames, LOST_REASON))
    if packets.ranges is None:
        return [*lost, *_lost_in_all(packets, account, heard, known)]
    known_ranges = sorted((loss.start, loss.end) for loss in known)
    sounding = [(round(first * SAMPLE_RATE), min(frames, round(last * SAMPLE_RATE))) for first, last in packets.ranges]
    lost += [
        Loss(group[0][0], group[-1][1], LOST_REASON)
        for group in _grouped(_without(_without(sounding, heard.ranges), known_ranges))
        if seconds(sum(end - start for start, end in group)) >= MIN_LOST_SECONDS
    ]
    end = round(max((last for _, last in packets.ranges), default=0.0) * SAMPLE_RATE)
    reach = max([frames, account.frames, *(stop for _, stop in known_ranges)])
    if seconds(end - reach) > END_TOLERANCE_SECONDS:
        lost.append(Loss(reach, end, LOST_REASON))
    return lost


def hears_all(packets: PacketTimes, heard: HeardSound) -> bool:
    """Whether this is all that has packets."""
    account = Account(0, 0.0, 0.0, 0, 1, heard.frames, 0.0, None)
    return not lost_by_packets(packets, account, heard, ())


def _lost_in_all(packets: PacketTimes, account: Account, heard: HeardSound, known: Iterable[Loss]) -> list[Loss]:
    """Where times are counted or run backwards, only sums can be compared: what is missing is put at the end."""
    refused = packets.seconds * account.refused_packets / packets.packets if packets.packets else 0.0
    told = sum(loss.end - loss.start for loss in known)
    arrived = seconds(sum(end - start for start, end in heard.ranges))
    missing = packets.seconds - refused - seconds(told) - arrived
    if missing <= END_TOLERANCE_SECONDS or account.frames > heard.frames or account.formats > 1:
        return []
    return [Loss(heard.frames, heard.frames + round(missing * SAMPLE_RATE), LOST_REASON)]


def merged_losses(losses: Iterable[Loss]) -> list[Loss]:
    """In order of time, those that touch as one: what lies across a join is seen from both sides."""
    merged: list[Loss] = []
    for loss in sorted(losses, key=lambda each: (each.start, each.end)):
        if merged and loss.start <= merged[-1].end and loss.reason == merged[-1].reason:
            merged[-1] = Loss(merged[-1].start, max(loss.end, merged[-1].end), loss.reason)
        else:
            merged.append(loss)
    return merged


def _without(ranges: Sequence[FrameRange], taken: Sequence[FrameRange]) -> list[FrameRange]:
    """What of the ranges lies in none of the taken ones; both in order."""
    left: list[FrameRange] = []
    place = 0
    for start, end in ranges:
        at = start
        while place < len(taken) and taken[place][1] <= at:
            place += 1
        for first, last in islice(taken, place, None):
            if first >= end:
                break
            if first > at:
                left.append((at, first))
            at = max(at, last)
        if at < end:
            left.append((at, end))
    return left


def _grouped(ranges: Iterable[FrameRange]) -> list[list[FrameRange]]:
    groups: list[list[FrameRange]] = []
    for start, end in ranges:
        if groups and seconds(start - groups[-1][-1][1]) < DRIFT_SECONDS:
            groups[-1].append((start, end))
        else:
            groups.append([(start, end)])
    return groups
