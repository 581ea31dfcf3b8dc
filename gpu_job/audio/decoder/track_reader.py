"""Read the chosen track of one recording: every packet to the end, each frame in its place, losses between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from gpu_job.audio.decoder.byte_source import ByteSource
from gpu_job.audio.decoder.clock import TOLERANCE_SECONDS, Clock, Placed
from gpu_job.audio.decoder.codecs.amr_silence import silence_of
from gpu_job.audio.decoder.codecs.frames import OUTPUT_RATE, Frame
from gpu_job.audio.decoder.codecs.libopus import opus_decoder
from gpu_job.audio.decoder.counts import Counts
from gpu_job.audio.decoder.missing.breaks import Breaks
from gpu_job.audio.decoder.missing.flac_numbers import NUMBERED_BYTES, FlacNumbers
from gpu_job.audio.decoder.missing.ogg_pages import ticks_behind
from gpu_job.audio.decoder.missing.seams import Seams
from gpu_job.audio.decoder.opening import choose_stream, clock_rules, demuxer_name, origin
from gpu_job.audio.decoder.placing import CannotDecode, Output, Sound, WindowFull
from gpu_job.audio.decoder.promise import flac_block_sizes, header_promise
from gpu_job.audio.decoder.records import ESTIMATE_TOLERANCE, DecodingRequest, longest_possible_seconds
from shared.formats.av_description import audio_stream_count

COMPLAINT_SECONDS = 1.0
"""Sound for which an error of demuxer or decoder is taken for the cause of a jump in the timestamps."""

TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")
"""What stands between the parts of joined files and is no lost sound."""

END_TOLERANCE_SECONDS = 0.5
"""Sound may end this much earlier than its header says: headers round, encoders pad."""

MAX_DEMUXER_ERRORS = 16
"""In a row, without a packet between them; then the rest of the recording is given up."""

DAMAGED = "The file is damaged here and cannot be read."
MISSING = "The file says there is audio here, but it cannot be read."
OTHER_TRACK = "From here on the file's audio is in another track, which was not read."

MIN_OTHER_TRACK_SECONDS = 1.0
"""Fewer bytes behind the last packet of a track than so much of it takes are no sound of another one."""


class TrackReader:
    """One open recording and its chosen track."""

    def __init__(
        self,
        request: DecodingRequest,
        container: InputContainer,
        source: ByteSource,
        counts: Counts,
        *,
        is_first: bool = True,
    ) -> None:
        self._container = container
        self._source = source
        self._counts = counts
        self._stream = choose_stream(container, request.track, is_first=is_first)
        self._context = self._stream.codec_context
        self._context.thread_count = 1
        self._silence = silence_of(self._context.name)
        self._opus = opus_decoder(self._stream)
        self._known_tracks = len(container.streams.audio)
        self._tick = float(self._stream.time_base or 0)
        self._origin = origin(container, self._stream)
        self.rules = clock_rules(container, request)
        has_times = self.rules.has_times
        self._breaks = Breaks(source, demuxer_name(container), self._stream)
        self._seams = Seams(self._stream.codec_context, demuxer_name(container), has_times=has_times)
        self._complaint_until = -1.0
        self._good_bytes, self._good_seconds = 0, 0.0
        self._refused_bytes, self._refused_seconds = 0, 0.0
        smallest, largest = flac_block_sizes(self._stream)
        self._may_be_misnumbered = demuxer_name(container) == "flac" and smallest != largest
        is_ogg_flac = demuxer_name(container) == "ogg" and self._stream.codec_context.name == "flac"
        self._numbers = FlacNumbers(largest) if is_ogg_flac else None
        self._counted_end = 0.0
        self._last_byte = 0
        self._is_ogg = demuxer_name(container) == "ogg"
        self._last_page = -1

    def decode(self, output: Output, clock: Clock[Frame], *, in_windows: bool) -> float | None:
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
        if self._goes_on_in_another_track():
            self._output.loss(here, here, OTHER_TRACK)  # how much it is, nothing tells
        tolerance = END_TOLERANCE_SECONDS + ESTIMATE_TOLERANCE * self._counts.estimated_loss_seconds
        missing = None if promised is None else begin + promised - self._sound.position
        if missing is not None and missing > tolerance:
            self._output.loss(here, here + round(missing * OUTPUT_RATE), MISSING)
        if missing is not None:
            return  # what is behind all sound that there has to be is no sound
        lost = self._refused_seconds if self.rules.has_times else self._lost_by_bytes()
        if self._is_ogg and self._last_page >= 0:
            behind = ticks_behind(self._source, self._last_page) * self._tick
            if behind > longest_possible_seconds(self._source.size):
                self._output.loss(here, here, DAMAGED)  # how much it is, nothing tells
            elif behind > END_TOLERANCE_SECONDS:
                lost = max(lost, behind)
        if lost >= TOLERANCE_SECONDS:
            self._output.loss(here, here + round(lost * OUTPUT_RATE), DAMAGED)

    def _goes_on_in_another_track(self) -> bool:
        """Whether one came up on the way, of which PyAV gives no packets, and much of the file is behind this one."""
        behind = self._source.size - self._last_byte
        is_much = behind * self._good_seconds >= MIN_OTHER_TRACK_SECONDS * self._last_byte > 0
        return is_much and audio_stream_count(self._container) > self._known_tracks

    def _seek(self, seconds: float) -> None:
        self._seams.sought()
        self._counted_end = 0.0
        if self._opus is not None:
            self._opus.reset()
        if self._numbers is not None:
            self._numbers.sought()
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
                    self._seams.complained()

    def _give_up(self) -> None:
        for frame in self._stream.codec_context.decode(None):
            self._place(frame)
        self._take(self._clock.flush())
        here = round(self._sound.position * OUTPUT_RATE)
        self._output.loss(here, here, DAMAGED)

    def _decode(self, packet: Packet[AudioStream]) -> None:
        size, pos = packet.size, packet.pos
        seconds = (packet.duration or 0) * self._tick
        if size and self._skip_until is None:
            self._counts.packets += 1
            self._counts.packet_seconds += seconds
        is_broken = self._breaks.before(packet)
        if is_broken or packet.is_corrupt or (pos is not None and pos < self._source.damaged_until):
            self._complain()
        if not self.rules.has_times:
            self._seams.demuxed(packet)
        if self._may_be_misnumbered and size:
            self._look_at_numbering(bytes(packet)[:2])
        missing = 0.0
        if self._numbers is not None and size:
            samples = self._numbers.missing(bytes(memoryview(packet)[:NUMBERED_BYTES]), packet.duration or 0)
            missing = samples * self._tick
        try:
            frames = self._frames(packet)
        except av.EOFError:
            return
        except av.FFmpegError:
            self._refuse(packet, seconds)
            return
        if pos is not None:
            self._last_byte = pos + size
            self._last_page = pos
        self._good_bytes += size
        self._good_seconds += seconds
        for frame in frames:
            self._place(frame, missing)

    def _frames(self, packet: Packet[AudioStream]) -> Sequence[Frame]:
        """What the codec makes of a packet. Raises FFmpegError."""
        if self._opus is not None:
            return self._opus.decode(packet)
        silence = None if self._silence is None else self._silence.frame(packet)
        return self._context.decode(packet) if silence is None else [silence]

    def _look_at_numbering(self, head: bytes) -> None:
        """Old encoders vary the block size and number frames, as only those of one block size may."""
        self._may_be_misnumbered = False
        if len(head) == 2 and not head[1] & 1:
            if self._in_windows:
                raise CannotDecode("its frames are misnumbered", only_windows=True)
            self.rules = self._clock.rules = replace(self.rules, has_times=False)

    def _place(self, frame: Frame, missing: float = 0.0) -> None:
        """Write a frame, or hold it; `missing`: seconds before it that its number shows to be missing."""
        rate, samples = frame.sample_rate, frame.samples
        if rate <= 0 or not samples:
            return
        start = None if frame.pts is None else frame.pts * self._tick - self._origin
        if self._skip_until is not None and self._is_before_window(frame, start):
            return
        seconds = samples / rate
        self._counts.decoded_seconds += seconds
        if self._numbers is not None and start is not None:
            if missing >= TOLERANCE_SECONDS:
                self._complain()
            start = max(start, self._counted_end + missing)
            self._counted_end = start + seconds
        if self.rules.has_times:
            if start is not None and self._clock.follows(start, seconds):
                self._refused_bytes, self._refused_seconds = 0, 0.0
                self._sound.follow(frame, samples)
                return
            complaint = self._clock.position < self._complaint_until
            placed = self._clock.place(frame, start, seconds, complaint=complaint)
        else:
            is_torn = self._seams.passed() and self._good_seconds >= COMPLAINT_SECONDS
            placed = [self._clock.count(frame, seconds, lost=self._lost_by_bytes(), is_torn=is_torn)]
        self._refused_bytes, self._refused_seconds = 0, 0.0
        self._take(placed)

    def _is_before_window(self, frame: Frame, start: float | None) -> bool:
        """Whether a frame ends before the window; one that reaches into it is begun with what lies inside."""
        assert self._skip_until is not None
        if start is None:
            raise CannotDecode("it has no timestamps", only_windows=True)
        first = round(self._skip_until * frame.sample_rate) - round(start * frame.sample_rate)
        if first >= frame.samples:
            return True
        self._complaint_until = -1.0
        self._refused_bytes, self._refused_seconds = 0, 0.0
        self._seams.passed()
        if first > 0:
            self._sound.begin_trimmed(frame, first)
            self._clock.begin_at(start)
        else:
            self._clock.begin_at(self._skip_until)
        self._skip_until = None
        return False

    def _take(self, placed: list[Placed[Frame]]) -> None:
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
            self._refused_bytes += len(data.strip(b"\0"))  # padding has no sound
            self._refused_seconds += seconds
            self._seams.refused()

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
