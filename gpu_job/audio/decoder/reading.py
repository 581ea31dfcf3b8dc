"""Read a file from its first packet to its last: every recording in it, every packet of the chosen track."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from itertools import pairwise

import av.logging

from gpu_job.audio.decoder.byte_source import ByteSource, UploadFile
from gpu_job.audio.decoder.clock import Clock
from gpu_job.audio.decoder.codecs.frames import OUTPUT_RATE, Frame
from gpu_job.audio.decoder.counts import Counts
from gpu_job.audio.decoder.joined.recordings import recording_starts
from gpu_job.audio.decoder.missing.segment_times import SegmentTimes
from gpu_job.audio.decoder.opening import bound_allocations, choose_stream, clock_rules, demuxer_name, opened, origin
from gpu_job.audio.decoder.packet_times import PacketCount
from gpu_job.audio.decoder.placing import CannotDecode, Output
from gpu_job.audio.decoder.promise import id3_bytes
from gpu_job.audio.decoder.records import CountedPart, DecodingRequest, PacketTimes, RecordWriter, WindowEnd
from gpu_job.audio.decoder.track_reader import DAMAGED, TrackReader
from gpu_job.fetch.arrival import ArrivalMap
from shared.formats.junk import junk_bytes

MAX_JUNK_BYTES = 64 * 1024
"""In front of the first recording that can be read, so many bytes are no lost one."""


def decode(request: DecodingRequest, writer: RecordWriter, arrival: ArrivalMap | None = None) -> None:
    """Write what is asked for. `arrival`: of a file that is still fetched. Raises CannotDecode."""
    bound_allocations(request.max_allocation)
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        file = UploadFile(request.path, arrival)
    except OSError as error:
        raise CannotDecode(str(error.strerror)) from None
    counts = Counts()
    in_windows = request.windows != ((0, None),)
    if not request.windows:
        if request.counted_part is None:
            writer.record(_counted(request, file))
        elif (part := _counted_part(request, file, *request.counted_part)) is not None:
            writer.record(part)
        writer.record(Counts().account(0, None))
        return
    with ExitStack() as stack:
        whole = _without_junk(file)
        container = stack.enter_context(opened(whole, request))
        starts = [0]
        if request.windows[0][0] == 0:
            starts = recording_starts(whole, demuxer_name(container))
        if in_windows and len(starts) > 1:
            raise CannotDecode("the file holds several recordings", only_windows=True)
        output = Output(writer, *request.windows[0])
        promised = None
        if len(starts) == 1:
            recording = TrackReader(request, container, whole, counts)
            for number, (first, count) in enumerate(request.windows):
                if number:
                    output = Output(writer, first, count)
                promised = recording.decode(output, Clock(recording.rules, first / OUTPUT_RATE), in_windows=in_windows)
                writer.record(WindowEnd())
        else:
            stack.close()
            _decode_all(request, file, _borders(starts, file.size, whole), output, counts)
            writer.record(WindowEnd())
            promised = output.position / OUTPUT_RATE  # what each of them promised was compared with its own end
    if request.counts_packets:
        writer.record(_counted(request, file))
    writer.record(counts.account(output.position, promised))


def _without_junk(file: UploadFile) -> ByteSource:
    """The file from where its first recording begins; only of MPEG audio FFmpeg skips ID3 tags by itself."""
    whole = ByteSource(file, 0, file.size)
    start = junk_bytes(whole)
    behind = start + id3_bytes(ByteSource(file, start, file.size))
    is_mpeg = whole.read_at(behind, 1) in (b"\xff", b"")
    return ByteSource(file, start if is_mpeg else behind, file.size)


def _borders(starts: Iterable[int], size: int, whole: ByteSource) -> list[int]:
    """Offsets in the file, its end included, of recordings that begin there in `whole`."""
    return [*(start + size - whole.size for start in starts), size]


def _decode_all(request: DecodingRequest, file: UploadFile, borders: list[int], output: Output, counts: Counts) -> None:
    """One recording after the other, each as a file of its own."""
    has_sound = False
    failure: CannotDecode | None = None
    times = SegmentTimes()
    for start, end in pairwise(borders):
        source = ByteSource(file, start, end)
        if missing := round(OUTPUT_RATE * times.missing_before(source, output.position / OUTPUT_RATE)):
            output.loss(output.position, output.position + missing, DAMAGED)
            output.silence(missing)
        try:
            with opened(source, request) as container:
                recording = TrackReader(request, container, source, counts, is_first=start == borders[0])
                clock = Clock[Frame](recording.rules)
                clock.begin_recording(output.position / OUTPUT_RATE)
                recording.decode(output, clock, in_windows=False)
                has_sound = True
        except CannotDecode as error:
            failure = error
            if has_sound or end - start > MAX_JUNK_BYTES:
                output.loss(output.position, output.position, DAMAGED)
    output.write_loss()
    if failure is not None and not has_sound:
        raise failure


def _counted(request: DecodingRequest, file: UploadFile) -> PacketTimes:
    """The packets of the track, over all recordings. Raises CannotDecode where the file cannot be opened."""
    count = PacketCount()
    with av.logging.Capture():
        whole = _without_junk(file)
        with opened(whole, request) as container:
            borders = _borders(recording_starts(whole, demuxer_name(container)), file.size, whole)
        for start, end in pairwise(borders):
            source = ByteSource(file, start, end)
            with suppress(CannotDecode), opened(source, request) as container:
                stream = choose_stream(container, request.track, is_first=start == borders[0])
                count.add(container, stream, origin(container, stream), clock_rules(container, request))
    return count.result()


def _counted_part(request: DecodingRequest, file: UploadFile, begin: int, until: int | None) -> CountedPart | None:
    """The packets that begin in [begin, until) seconds; None where they cannot be counted so, or the file holds several
    recordings, which the part at its start finds. Raises CannotDecode."""
    with av.logging.Capture():
        whole = _without_junk(file)
        with opened(whole, request) as container:
            if not begin and len(recording_starts(whole, demuxer_name(container))) > 1:
                return None
            stream, rules = choose_stream(container, request.track, is_first=True), clock_rules(container, request)
            return PacketCount().part(container, stream, origin(container, stream), rules, begin, until)
