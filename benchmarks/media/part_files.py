"""Files of which one part is missing, was written wrong, or tells of other sound than the part before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.media.edits import Appended, Patched, Prefixed
from benchmarks.media.format_table import format_named
from benchmarks.media.formats import BEHIND, SECOND, SECONDS, WHOLE, Format
from benchmarks.media.part_edits import (
    AmrPause,
    AsfPacketsRemoved,
    ClusterRemoved,
    ClusterSizes,
    FragmentRemoved,
    FragmentsAppended,
    FragmentTimesZero,
    HlsSegments,
    PageRemoved,
    Scrambled,
)
from benchmarks.media.recipes import Edit, Encoding, Recipe, Spoken

SECOND_OF_CLUSTER = ("-cluster_time_limit", "1000")
FRAGMENTS = "mp4 in fragments aac"

MISSING: list[tuple[str, str, tuple[str, ...], Edit]] = [
    ("opus libopus", "a page missing", (), PageRemoved(6)),
    ("ogg libvorbis", "a page missing", (), PageRemoved(6)),
    ("webm libopus", "a cluster missing", SECOND_OF_CLUSTER, ClusterRemoved(4)),
    ("mka flac", "a cluster missing", SECOND_OF_CLUSTER, ClusterRemoved(4)),
    (FRAGMENTS, "a fragment missing", (), FragmentRemoved(3)),
    (FRAGMENTS, "the index of a fragment missing", (), FragmentRemoved(3, keeps_data=True)),
    ("ts aac", "a stretch encrypted", (), Scrambled(0x100, 0.4, 0.6)),
    ("wma wmav2", "packets missing", (), AsfPacketsRemoved(6, 12)),
    ("aac aac", "an HLS segment missing", (), HlsSegments(86, missing=2)),
]
"""What shows as nothing but a jump of the times, as a pause does: it is a gap."""

ALL_THERE: list[tuple[str, str, tuple[str, ...], Edit]] = [
    ("webm libopus", "sizes of clusters 0", SECOND_OF_CLUSTER, ClusterSizes(0.0)),
    ("mka flac", "sizes of clusters half", SECOND_OF_CLUSTER, ClusterSizes(0.5)),
    ("mkv aac", "sizes of clusters 0", SECOND_OF_CLUSTER, ClusterSizes(0.0)),
    (FRAGMENTS, "all fragments at 0", (), FragmentTimesZero()),
    ("m4a aac", "an edit of length 0", (), Patched(b"elst", 8, bytes(4))),
    ("aac aac", "HLS segments", (), HlsSegments(86)),
    *(
        (name, "60,000 bytes of noise before", (), Prefixed("noise", 60_000))
        for name in ("ts aac", "ts mp2", "flv aac")
    ),
]

CHANGES = [
    ("ts aac", "other PIDs", ("-streamid", "0:300"), None),
    ("ts mp2", "another codec", (), "ts aac"),
    ("ts aac", "another codec", (), "ts ac3"),
    ("ts with a picture aac", "other PIDs", ("-streamid", "0:300", "-streamid", "1:301"), None),
]
"""Transport streams behind which another one stands, with its sound elsewhere: options and format of that one."""


def part_files() -> Iterator[Recipe]:
    """Files of such parts."""
    for name, what, options, edit in MISSING:
        one = format_named(name)
        truth = replace(one.truth((WHOLE,), SECONDS, is_damaged=True), has_clock=True, is_promised=True)
        yield Recipe(f"{name}, {what}", "parts missing", _with_options(one, options), truth, (edit,))
    for name, what, options, edit in ALL_THERE:
        one = format_named(name)
        yield Recipe(
            f"{name}, {what}", "wrong parts", _with_options(one, options), one.truth((WHOLE,), SECONDS), (edit,)
        )
    one = format_named(FRAGMENTS)
    truth = one.truth((WHOLE, BEHIND), SECONDS + SECOND)
    behind = FragmentsAppended(one.encoding("B", SECOND))
    yield Recipe(f"{FRAGMENTS}, fragments of another session", "wrong parts", one.encoding(), truth, (behind,))
    for name, what, options, behind_it in CHANGES:
        one = format_named(name)
        second = _with_options(format_named(behind_it or name), options, "B", SECOND)
        truth = one.truth((WHOLE, BEHIND), SECONDS + SECOND)
        yield Recipe(f"{name}, then {what}", "tables that change", one.encoding(), truth, (Appended(second),))
    one = format_named("mpg mp2")
    truth = replace(one.truth((WHOLE, BEHIND), SECONDS + SECOND, is_damaged=True), is_promised=False)
    other = Appended(format_named("vob ac3").encoding("B", SECOND))
    yield Recipe("mpg mp2, then vob ac3", "tables that change", one.encoding(), truth, (other,))
    one = format_named("amr libopencore_amrnb")
    truth = one.truth((Spoken("A", 0.0, 4.0, 0.0), Spoken("A", 8.0, SECONDS, 8.0)), SECONDS)
    yield Recipe(f"{one.name}, a pause without data", "wrong parts", one.encoding(), truth, (AmrPause(200, 200),))


def _with_options(one: Format, options: tuple[str, ...], session: str = "A", seconds: float = SECONDS) -> Encoding:
    encoding = one.encoding(session, seconds)
    return replace(encoding, options=(*options, *encoding.options))
