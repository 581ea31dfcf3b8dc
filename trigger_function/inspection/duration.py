"""How long the sound of a file lasts: as stated, where the header can be trusted; else measured; else by byte rate."""

from __future__ import annotations

from shared.errors import BadMedia
from trigger_function.inspection.constant_rate import sized_duration, wave_duration
from trigger_function.inspection.containers import cluster_before, is_chained, times_of_clusters_increase
from trigger_function.inspection.declared_size import HEAD_BYTES, stated_mp3_bytes, stated_size
from trigger_function.inspection.demux import FIRST_PACKET_WITHIN, READ_BYTES, Description, stretches
from trigger_function.inspection.last_packet import (
    CLUSTERS,
    FRAGMENTS,
    TIMES_JUMP_BY,
    last_packet_end,
    last_packet_end_of_parts,
    probe_middle,
    times_increase,
)
from trigger_function.inspection.length import Duration, by_beginning, extrapolated
from trigger_function.inspection.mp4 import Movie, Track
from trigger_function.inspection.ranged_reader import RandomAccess
from trigger_function.inspection.stated import asf_seconds, avi_seconds, flac_info, flv_end_seconds

WHOLE_BYTES = 2 * 1024 * 1024
"""Up to this size a file of packets without times is read whole, which is one request where samples are twelve."""

SAMPLES = 12
SAMPLE_BYTES = 24 * 1024
"""Of larger ones packets are counted in this many places of this size."""

MP3_TAG_BYTES = 4096
"""Read before an MP3's first packet, for the frame with its table of contents (Xing, Info or VBRI)."""

TOLERANCE = 0.01

UNMARKED = frozenset(("amr", "amrnb", "amrwb", "g722", "gsm"))
"""Raw streams whose packets nothing marks, so that none can be found from the middle."""

COUNTED = frozenset(("aac", "ac3", "dts", "dtshd", "eac3", "loas", "mlp", "mp3", "truehd")) | UNMARKED
"""Packets of one codec, without times."""

EXACT = frozenset(("ape", "dsf", "mpc", "mpc8", "mxf", "nistsphere", "oma", "tak", "tta", "wv"))
"""Demuxers whose length is the header's own count of samples."""

MORE_SECONDS = 1.0
"""How much longer than the times say packets may last: encoders pad, and times are rounded."""

CUT_SHARE = 0.8
"""Below this share of the stated length a file is taken to be cut, by the byte rate of its beginning, which varies."""

VARYING_RATE = 0.5
"""How far the byte rate of a FLAC's beginning may be from that of the whole file, as a share."""


def duration(file: RandomAccess, audio: Description) -> Duration:
    """Length of the audio in any container but MP4. Raises BadMedia where it cannot be determined."""
    if audio.first_packet_at is None and file.size <= FIRST_PACKET_WITHIN:
        return Duration(0.0)
    match audio.container:
        case counted if counted in COUNTED:
            return _by_packets(file, audio)
        case "wav" | "w64":
            return wave_duration(file, audio)
        case "aiff" | "au" | "caf":
            return sized_duration(file, audio)
        case "flac":
            return _of_flac(file, audio)
        case "mpeg" | "mpegts":
            return _by_clock_or_rate(file, audio)
        case "asf":
            return _stated_if_complete(file, audio) or _until(last_packet_end(file, audio), file, audio)
        case "matroska,webm":
            return _of_matroska(file, audio)
        case "avi":
            return _of_avi(file, audio)
        case "flv":
            return _of_flv(file, audio)
        case "ogg" if is_chained(file):
            return by_beginning(file, audio)
        case "ogg":
            return _unless_more(_until(last_packet_end(file, audio), file, audio), file, audio)
        case exact if exact in EXACT and audio.stated_seconds:
            return _stated_unless_cut(file, audio)
        case _ if audio.stated_seconds:
            return Duration(audio.stated_seconds, is_estimate=True)
        case _:
            return by_beginning(file, audio)


def movie_duration(file: RandomAccess, movie: Movie, track: Track, audio: Description) -> Duration:
    """Length of an MP4's audio track. Raises BadMedia where it cannot be determined.

    Fragmented files, recordings mostly, state none. Their `audio` describes the header with the first fragment.
    """
    if movie.first_fragment is None:
        return _cut_to(movie.share_of_data, track.seconds)
    last = last_packet_end_of_parts(movie.without_tables(file), audio, movie.first_fragment.start, FRAGMENTS)
    if last is None:
        return by_beginning(movie.header(file), audio)
    # A header that has sample tables as well holds the first samples, from 0 on, in them.
    return Duration(last if track.seconds else last - audio.start_seconds)


def _by_packets(file: RandomAccess, audio: Description) -> Duration:
    """Of packets that carry no times; an MP3 may begin with a count of them."""
    first = audio.first_packet_at or 0
    tag_start = max(first - MP3_TAG_BYTES, 0)
    stated = stated_mp3_bytes(file.read_at(tag_start, first - tag_start))
    promised = audio.stated_seconds if stated is not None else None
    if stated is not None and abs(file.size - tag_start - stated) <= TOLERANCE * stated:
        return Duration(audio.stated_seconds, promised_seconds=promised)
    places = _places(audio, file.size)
    for start, end in places:
        # One request for what the demuxer reads piece by piece.
        file.read_at(start, end - start + READ_BYTES)
    samples = stretches(file, audio.stream_index, places)
    if file.size <= WHOLE_BYTES:
        return Duration(sum(sample.seconds for sample in samples), promised_seconds=promised)
    return extrapolated(samples, file.size - first)._replace(promised_seconds=promised)


def _places(audio: Description, size: int) -> list[tuple[int, int]]:
    """Ranges of bytes to count packets in."""
    if size <= WHOLE_BYTES:
        return [(0, size)]
    if audio.container in UNMARKED:
        return [(0, HEAD_BYTES)]
    start = audio.first_packet_at or 0
    step = (size - start) // SAMPLES
    return [(start + index * step, start + index * step + SAMPLE_BYTES) for index in range(SAMPLES)]


def _of_flac(file: RandomAccess, audio: Description) -> Duration:
    """By the number of the last frame, which is no more than the header promises; frames of varying size have none."""
    promised, has_varying_frames = flac_info(file)
    last = None if has_varying_frames else last_packet_end(file, audio)
    if last is not None and last > audio.start_seconds and times_increase(file, audio, last):
        return Duration(last - audio.start_seconds, promised_seconds=promised)
    estimate = by_beginning(file, audio)
    is_whole = promised is not None and has_varying_frames and abs(estimate.seconds / promised - 1) < VARYING_RATE
    return Duration(promised, promised_seconds=promised) if promised and is_whole else estimate


def _by_clock_or_rate(file: RandomAccess, audio: Description) -> Duration:
    """By the times, where they rise steadily; not in recordings joined as bytes, and where the clock jumps."""
    last = last_packet_end(file, audio)
    if last is None or not times_increase(file, audio, last):
        return by_beginning(file, audio)
    seconds = last - audio.start_seconds
    if (counted := _unless_more(Duration(seconds), file, audio)).is_estimate:
        return counted
    beginning = stretches(file, audio.stream_index, [(0, HEAD_BYTES)])
    if not any(sample.seconds_before_last for sample in beginning):
        # Packets without a duration of their own: there is no rate to hold the times to.
        return Duration(seconds)
    estimate = extrapolated([*beginning, *probe_middle(file, audio)], file.size - (audio.first_packet_at or 0))
    return estimate if seconds > TIMES_JUMP_BY.longest(estimate.seconds) else Duration(seconds)


def _of_matroska(file: RandomAccess, audio: Description) -> Duration:
    """The track's own length; the segment's is that of its longest track."""
    is_complete = _is_complete(file)
    promised = audio.track_seconds or (audio.stated_seconds if audio.is_only_stream else None) or None
    if promised is not None and is_complete:
        length = promised - audio.start_seconds if promised > audio.start_seconds else promised
        return Duration(length, promised_seconds=length)
    first = None if audio.first_packet_at is None else cluster_before(file, audio.first_packet_at)
    if first is not None and not times_of_clusters_increase(file, first):
        return by_beginning(file, audio)
    last = None if first is None else last_packet_end_of_parts(file, audio, first, CLUSTERS)
    if last is None and audio.stated_seconds and is_complete:
        return Duration(audio.stated_seconds, is_estimate=True)
    return _until(last, file, audio)._replace(promised_seconds=promised)


def _of_avi(file: RandomAccess, audio: Description) -> Duration:
    promised = avi_seconds(file, audio.stream_index)
    if promised is None:
        return by_beginning(file, audio)
    if _is_complete(file):
        return Duration(promised, promised_seconds=promised)
    return by_beginning(file, audio, promised)


def _of_flv(file: RandomAccess, audio: Description) -> Duration:
    promised = audio.stated_seconds if audio.is_only_stream and audio.stated_seconds else None
    last = flv_end_seconds(file)
    if last is not None:
        return _unless_more(Duration(last - audio.start_seconds, promised_seconds=promised), file, audio)
    if not audio.stated_seconds:
        return by_beginning(file, audio)
    size = stated_size(file.read_at(0, HEAD_BYTES))
    return _cut_to(file.size / size if size else 1.0, audio.stated_seconds)


def _unless_more(length: Duration, file: RandomAccess, audio: Description) -> Duration:
    """The length by the times, unless the packets of a small file last longer: it is joined, and its clock restarts."""
    if file.size > WHOLE_BYTES:
        return length
    file.read_at(0, file.size)
    counted = sum(whole.seconds for whole in stretches(file, audio.stream_index, [(0, file.size)]))
    is_joined = counted > length.seconds + MORE_SECONDS
    return Duration(counted, is_estimate=True) if is_joined else length


def _stated_unless_cut(file: RandomAccess, audio: Description) -> Duration:
    """The header's count, or by the byte rate of the beginning where the file has far fewer bytes than that takes."""
    stated = audio.stated_seconds
    try:
        present = by_beginning(file, audio, promised=stated)
    except BadMedia:
        return Duration(stated, promised_seconds=stated)
    return present if present.seconds < CUT_SHARE * stated else Duration(stated, promised_seconds=stated)


def _until(last: float | None, file: RandomAccess, audio: Description) -> Duration:
    if last is None or last <= audio.start_seconds:
        return by_beginning(file, audio)
    return Duration(last - audio.start_seconds)


def _stated_if_complete(file: RandomAccess, audio: Description) -> Duration | None:
    if not (audio.stated_seconds > 0 and _is_complete(file)):
        return None
    # FFmpeg changes the length of a file that is longer than its header says.
    stated = asf_seconds(file) or audio.stated_seconds
    return Duration(stated, promised_seconds=stated) if audio.is_only_stream else Duration(stated, is_estimate=True)


def _is_complete(file: RandomAccess) -> bool:
    size = stated_size(file.read_at(0, HEAD_BYTES))
    return size is not None and size <= file.size


def _cut_to(share: float, stated_seconds: float) -> Duration:
    return Duration(stated_seconds * min(share, 1.0), is_estimate=share < 1, promised_seconds=stated_seconds)
