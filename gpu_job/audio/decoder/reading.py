"""Read a file from its first packet to its last: every recording in it, every packet of the chosen track."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import av
import av._core
import av.logging
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import Flags, InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition

from gpu_job.audio.decoder.byte_source import ByteSource
from gpu_job.audio.decoder.clock import TOLERANCE_SECONDS, Clock, ClockRules, Placed
from gpu_job.audio.decoder.packet_times import PacketCount
from gpu_job.audio.decoder.placing import CannotDecode, Output, Sound, WindowFull
from gpu_job.audio.decoder.promise import flac_block_sizes, header_promise, id3_bytes
from gpu_job.audio.decoder.recordings import recording_starts
from gpu_job.audio.decoder.records import (
    ESTIMATE_TOLERANCE,
    Account,
    DecodingRequest,
    PacketTimes,
    RecordWriter,
    WindowEnd,
    longest_possible_seconds,
)
from gpu_job.audio.decoder.resampler import OUTPUT_RATE
from shared.formats.header_sizes import header_patches
from shared.formats.junk import junk_bytes

READ_BYTES = 64 * 1024
"""Read from the file at a time."""

PROBED_BYTES, PROBED_AGAIN_BYTES = 5 * 2**20, 100 * 2**20
"""How far FFmpeg looks for streams (its default); and once more where it found no sound: a film's may begin late."""

PROBING_DECODERS = ("aac", "aac_latm", "ac3", "eac3", "dca", "flac", "pcm_bluray", "pcm_dvd", "s302m", "truehd", "mlp")
"""Codecs whose streams show channels and sample rate only to a decoder. Pictures are never decoded."""

COUNTED_CONTAINERS = frozenset((
    "aac", "ac3", "act", "aea", "amr", "amrnb", "amrwb", "dss", "dts", "dtshd", "eac3", "gsm", "loas", "mlp", "mp3",
    "oma", "qcp", "spdif", "truehd",
))  # fmt: skip
"""Demuxers whose timestamps are FFmpeg's own count of packets, those included that turn out to be none."""

NUMBERED_CONTAINERS = frozenset({"ape", "dsf", "flac", "mpc", "mpc8", "shn", "tak", "tta", "wv"})
"""Demuxers of codecs that number their samples or frames: there can be no pause."""

JUMPING_CLOCKS = frozenset({"mpeg", "mpegts"})
DISCONTINUITY_SECONDS = 3600.0
"""In MPEG streams another programme with its own clock, anywhere within 26 h, may follow; a longer jump is no pause."""

COMPLAINT_SECONDS = 1.0
"""Sound for which an error of demuxer or decoder is taken for the cause of a jump in the timestamps."""

TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")
"""What stands between the parts of joined files and is no lost sound."""

END_TOLERANCE_SECONDS = 0.5
"""Sound may end this much earlier than its header says: headers round, encoders pad."""

MAX_JUNK_BYTES = 64 * 1024
"""In front of the first recording that can be read, so many bytes are no lost one."""

MAX_DEMUXER_ERRORS = 16
"""In a row, without a packet between them; then the rest of the recording is given up."""

DAMAGED = "The file is damaged here and cannot be read."
MISSING = "The file says there is audio here, but it cannot be read."


@dataclass
class _Counts:
    packets: int = 0
    packet_seconds: float = 0.0
    decoded_seconds: float = 0.0
    refused: int = 0
    formats: int = 0
    estimated_loss_seconds: float = 0.0


def decode(request: DecodingRequest, writer: RecordWriter) -> None:
    """Write what is asked for. Raises CannotDecode."""
    _bound_allocations(request.max_allocation)
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        descriptor = os.open(request.path, os.O_RDONLY)
    except OSError as error:
        raise CannotDecode(str(error.strerror)) from None
    size = os.fstat(descriptor).st_size
    counts = _Counts()
    in_windows = request.windows != ((0, None),)
    if not request.windows:
        writer.record(_counted(request, descriptor, size))
        writer.record(Account(0, 0.0, 0.0, 0, 0, 0, 0.0, None))
        return
    with ExitStack() as stack:
        whole = _without_junk(descriptor, size)
        container = stack.enter_context(_opened(whole, request))
        starts = [0]
        if request.windows[0][0] == 0:
            starts = recording_starts(whole, _name(container))
        if in_windows and len(starts) > 1:
            raise CannotDecode("the file holds several recordings", only_windows=True)
        output = Output(writer, *request.windows[0])
        promised = None
        if len(starts) == 1:
            recording = _Recording(request, container, whole, counts)
            for number, (first, count) in enumerate(request.windows):
                if number:
                    output = Output(writer, first, count)
                promised = recording.decode(output, Clock(recording.rules, first / OUTPUT_RATE), in_windows=in_windows)
                writer.record(WindowEnd())
        else:
            stack.close()
            _decode_all(request, descriptor, _borders(starts, size, whole), output, counts)
            writer.record(WindowEnd())
            promised = output.position / OUTPUT_RATE  # what each of them promised was compared with its own end
    if request.counts_packets:
        writer.record(_counted(request, descriptor, size))
    writer.record(
        Account(
            packets=counts.packets,
            packet_seconds=counts.packet_seconds,
            decoded_seconds=counts.decoded_seconds,
            refused_packets=counts.refused,
            formats=counts.formats,
            frames=output.position,
            estimated_loss_seconds=counts.estimated_loss_seconds,
            promised_seconds=promised,
        )
    )


def _without_junk(descriptor: int, size: int) -> ByteSource:
    """The file from where its first recording begins; only of MPEG audio FFmpeg skips ID3 tags by itself."""
    file = ByteSource(descriptor, 0, size)
    start = junk_bytes(file)
    behind = start + id3_bytes(ByteSource(descriptor, start, size))
    is_mpeg = file.read_at(behind, 1) in (b"\xff", b"")
    return ByteSource(descriptor, start if is_mpeg else behind, size)


def _borders(starts: Iterable[int], size: int, whole: ByteSource) -> list[int]:
    """Offsets in the file, its end included, of recordings that begin there in `whole`."""
    return [*(start + size - whole.size for start in starts), size]


def _decode_all(request: DecodingRequest, descriptor: int, borders: list[int], output: Output, counts: _Counts) -> None:
    """One recording after the other, each as a file of its own."""
    has_sound = False
    failure: CannotDecode | None = None
    for start, end in pairwise(borders):
        source = ByteSource(descriptor, start, end)
        try:
            with _opened(source, request) as container:
                recording = _Recording(request, container, source, counts, is_first=start == borders[0])
                clock = Clock[AudioFrame](recording.rules)
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


def _counted(request: DecodingRequest, descriptor: int, size: int) -> PacketTimes:
    """The packets of the track, over all recordings. Raises CannotDecode where the file cannot be opened."""
    count = PacketCount()
    with av.logging.Capture():
        whole = _without_junk(descriptor, size)
        with _opened(whole, request) as container:
            borders = _borders(recording_starts(whole, _name(container)), size, whole)
        for start, end in pairwise(borders):
            source = ByteSource(descriptor, start, end)
            with suppress(CannotDecode), _opened(source, request) as container:
                stream = _chosen(container, request.track, is_first=start == borders[0])
                for other in container.streams:
                    other.discard = Discard.none if other.index == stream.index else Discard.all
                count.add(container, stream, _origin(container, stream), _rules(container, stream, request))
    return count.result()


class _Recording:
    """One open recording and its chosen track."""

    def __init__(
        self,
        request: DecodingRequest,
        container: InputContainer,
        source: ByteSource,
        counts: _Counts,
        *,
        is_first: bool = True,
    ) -> None:
        self._container = container
        self._source = source
        self._counts = counts
        self._stream = _chosen(container, request.track, is_first=is_first)
        for other in container.streams:
            other.discard = Discard.none if other.index == self._stream.index else Discard.all
        self._stream.codec_context.thread_count = 1
        self._tick = float(self._stream.time_base or 0)
        self._origin = _origin(container, self._stream)
        self.rules = _rules(container, self._stream, request)
        self._complaint_until = -1.0
        self._good_bytes, self._good_seconds = 0, 0.0
        self._refused_bytes, self._refused_seconds = 0, 0.0
        self._may_be_misnumbered = _name(container) == "flac" and len(set(flac_block_sizes(self._stream))) == 2

    def decode(self, output: Output, clock: Clock[AudioFrame], *, in_windows: bool) -> float | None:
        """Write one window. The answer is how long the header says that the sound lasts, where it does.

        Raises CannotDecode.
        """
        begin = output.position / OUTPUT_RATE
        promise = header_promise(self._container, self._stream, self._source)
        promised: float | None = None
        self._output = output
        self._clock = clock
        self._sound = Sound(output, in_windows=in_windows)
        self._skip_until = begin if in_windows and begin else None
        self._in_windows = in_windows
        self._complaint_until = -1.0
        try:
            if self._skip_until is not None:
                self._seek(begin)
            self._read()
            self._take(self._clock.flush())
            self._counts.formats += self._sound.formats
            self._sound.finish()
            promised = promise.end(self._good_bytes, self._good_seconds)
            if promised is not None:
                promised -= self._origin
                # No codec stores so many seconds in so few bytes: the header is wrong.
                promised = promised if promised <= longest_possible_seconds(self._source.size) else None
            self._tell_end(0.0 if in_windows else begin, promised)
        except WindowFull:
            pass
        output.write_loss()
        return promised

    def _tell_end(self, begin: float, promised: float | None) -> None:
        """What is lost behind the last sample; `begin`: where the recording begins in the output."""
        here = self._output.position
        tolerance = END_TOLERANCE_SECONDS + ESTIMATE_TOLERANCE * self._counts.estimated_loss_seconds
        missing = None if promised is None else begin + promised - self._sound.position
        if missing is not None and missing > tolerance:
            self._output.loss(here, here + round(missing * OUTPUT_RATE), MISSING)
        if missing is not None:
            return  # what is behind all sound that there has to be is no sound
        lost = self._refused_seconds if self.rules.has_times else self._lost_by_bytes()
        if lost >= TOLERANCE_SECONDS:
            self._output.loss(here, here + round(lost * OUTPUT_RATE), DAMAGED)

    def _seek(self, seconds: float) -> None:
        ticks = int((seconds + self._origin) / self._tick)
        try:
            self._container.seek(ticks, stream=self._stream)
        except av.FFmpegError as error:
            raise CannotDecode(f"it cannot be entered at {seconds:g} s ({error})", only_windows=True) from None

    def _read(self) -> None:
        """Every packet to the end; what demuxer and decoder complain of is remembered."""
        errors = 0
        with av.logging.Capture() as logs:
            packets = self._container.demux(self._stream)
            while True:
                try:
                    packet = next(packets, None)
                except (av.FFmpegError, IndexError):
                    errors += 1
                    self._complain()
                    if errors > MAX_DEMUXER_ERRORS:
                        self._give_up()
                        break
                    packets = self._container.demux(self._stream)
                    continue
                if packet is None:
                    break
                if logs:
                    logs.clear()
                    self._complain()
                if packet.size:
                    errors = 0
                self._decode(packet)
                if logs:
                    logs.clear()
                    self._complain()

    def _give_up(self) -> None:
        for frame in self._stream.codec_context.decode(None):
            self._place(frame)
        self._take(self._clock.flush())
        here = round(self._sound.position * OUTPUT_RATE)
        self._output.loss(here, here, DAMAGED)

    def _decode(self, packet: Packet[AudioStream]) -> None:
        seconds = (packet.duration or 0) * self._tick
        if packet.size and self._skip_until is None:
            self._counts.packets += 1
            self._counts.packet_seconds += seconds
        if packet.is_corrupt:
            self._complain()
        if self._may_be_misnumbered and packet.size:
            self._look_at_numbering(bytes(packet)[:2])
        try:
            frames = packet.decode()
        except av.EOFError:
            return
        except av.FFmpegError:
            self._refuse(packet, seconds)
            return
        self._good_bytes += packet.size
        self._good_seconds += seconds
        for frame in frames:
            self._place(frame)

    def _look_at_numbering(self, head: bytes) -> None:
        """Old encoders vary the block size and number frames, as only those of one block size may."""
        self._may_be_misnumbered = False
        if len(head) == 2 and not head[1] & 1:
            if self._in_windows:
                raise CannotDecode("its frames are misnumbered", only_windows=True)
            self.rules = self._clock.rules = replace(self.rules, has_times=False)

    def _place(self, frame: AudioFrame) -> None:
        rate = frame.sample_rate
        if rate <= 0 or not frame.samples:
            return
        start = None if frame.pts is None else frame.pts * self._tick - self._origin
        if self._skip_until is not None and self._is_before_window(frame, start):
            return
        seconds = frame.samples / rate
        self._counts.decoded_seconds += seconds
        if self.rules.has_times:
            complaint = self._clock.position < self._complaint_until
            placed = self._clock.place(frame, start, seconds, complaint=complaint)
        else:
            placed = [self._clock.count(frame, seconds, lost=self._lost_by_bytes())]
        self._refused_bytes, self._refused_seconds = 0, 0.0
        self._take(placed)

    def _is_before_window(self, frame: AudioFrame, start: float | None) -> bool:
        """Whether a frame ends before the window; one that reaches into it is begun with what lies inside."""
        assert self._skip_until is not None
        if start is None:
            raise CannotDecode("it has no timestamps", only_windows=True)
        first = round(self._skip_until * frame.sample_rate) - round(start * frame.sample_rate)
        if first >= frame.samples:
            return True
        self._complaint_until = -1.0
        self._refused_bytes, self._refused_seconds = 0, 0.0
        if first > 0:
            self._sound.begin_trimmed(frame, first)
            self._clock.begin_at(start)
        else:
            self._clock.begin_at(self._skip_until)
        self._skip_until = None
        return False

    def _take(self, placed: list[Placed[AudioFrame]]) -> None:
        for each in placed:
            self._sound.add(each, DAMAGED)

    def _complain(self) -> None:
        self._complaint_until = self._clock.position + COMPLAINT_SECONDS

    def _refuse(self, packet: Packet[AudioStream], seconds: float) -> None:
        """The codec makes nothing of a packet."""
        self._counts.refused += 1
        self._complain()
        data = bytes(packet)
        is_sound = any(data) and not any(tag in data for tag in TAGS)
        if self._skip_until is None and is_sound:
            self._refused_bytes += packet.size
            self._refused_seconds += seconds

    def _lost_by_bytes(self) -> float:
        """Seconds of sound in the packets refused since the last good one: as many as good ones of their size have.

        Nothing else shows it where samples are counted. What is refused before any sound is no part of the recording.
        """
        if not self._refused_bytes or self._good_seconds < COMPLAINT_SECONDS:
            return 0.0
        lost = self._refused_bytes * self._good_seconds / self._good_bytes
        if lost < TOLERANCE_SECONDS:
            return 0.0
        self._counts.estimated_loss_seconds += lost
        return lost


def _bound_allocations(limit: int) -> None:
    """PyAV has no word for this; the symbol is found through what its core module is linked with."""
    ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(limit))


@contextmanager
def _opened(source: ByteSource, request: DecodingRequest) -> Iterator[InputContainer]:
    """The bytes as a container with sound. Raises CannotDecode."""
    shown = source.patched(header_patches(source))
    for probed in (PROBED_BYTES, PROBED_AGAIN_BYTES):
        shown.seek(0)
        container = _open(shown, request, probed)
        if container.streams.audio or probed >= source.size:
            break
        container.close()
    with container:
        # PyAV sets it: FFmpeg would read far ahead for a missing timestamp.
        container.flags &= ~cast(int, Flags.gen_pts.value)
        yield container


def _open(source: ByteSource, request: DecodingRequest, probed: int) -> InputContainer:
    options = {
        "format_whitelist": ",".join(request.demuxers),
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(PROBING_DECODERS),
        "probesize": str(probed),
        "skip_estimate_duration_from_pts": "1",
    }
    try:
        return av.open(
            source,
            mode="r",
            buffer_size=READ_BYTES,
            container_options=options,
            metadata_errors="replace",
            io_open=source.refuse_to_open,
        )
    except av.FFmpegError as error:
        raise CannotDecode(source.failure or str(error.strerror)) from None


def _chosen(container: InputContainer, track: int | None, *, is_first: bool) -> AudioStream:
    """The stream of that index, else the default one, else the first. Raises CannotDecode."""
    streams = container.streams.audio
    chosen = next((stream for stream in streams if stream.index == track), None)
    if chosen is None:
        if track is not None and is_first:
            raise CannotDecode(f"it has no sound in stream {track}")
        readable = [stream for stream in streams if stream.codec_context] or list(streams)
        if not readable:
            raise CannotDecode("it has no audio track")
        chosen = next((stream for stream in readable if stream.disposition & Disposition.default), readable[0])
    if not chosen.codec_context:
        raise CannotDecode("its sound is of a codec that is not read")
    return chosen


def _name(container: InputContainer) -> str:
    """The first name of FFmpeg's demuxer."""
    return container.format.name.partition(",")[0]


def _origin(container: InputContainer, stream: AudioStream) -> float:
    """Seconds on the container's clock at which a player begins."""
    if _name(container) == "mov" and stream.frames:
        # What edit lists leave empty is played as silence. Fragments have the clock of a recorder that ran before.
        return 0.0
    if container.start_time is None:
        return 0.0
    start = container.start_time / av.time_base
    if stream.start_time is not None and stream.time_base is not None:
        own = float(stream.start_time * stream.time_base)
        if abs(own - start) < 2 / av.time_base:
            return own  # not rounded to microseconds
    return start


def _rules(container: InputContainer, stream: AudioStream, request: DecodingRequest) -> ClockRules:
    name = _name(container)
    return ClockRules(
        has_times=name not in COUNTED_CONTAINERS,
        has_pauses=name not in NUMBERED_CONTAINERS,
        discontinuity_seconds=DISCONTINUITY_SECONDS if name in JUMPING_CLOCKS else float("inf"),
        longest_seconds=request.longest_seconds,
    )
