"""The containers and codecs that this ffmpeg can write."""

from __future__ import annotations

from benchmarks.media.formats import BARE, COUNTED, INDEXED, LIVE, TIMED, Format, family

_MPEG2 = ("-c:v", "mpeg2video", "-g", "12")
_D10_OPTIONS = (
    "-c:v mpeg2video -pix_fmt yuv422p -g 0 -r 25 -b:v 30M -minrate 30M -maxrate 30M -bufsize 1200000 "
    "-rc_init_occupancy 1200000 -qmin 1 -qmax 12 -flags +ildct+low_delay -intra_vlc 1 -non_linear_quant 1 -dc "
    "10 -ps 1"
)
_D10 = tuple(_D10_OPTIONS.split())
_MPEG4 = ("-c:v", "mpeg4")
_PCM_LITTLE = "pcm_s16le pcm_u8 pcm_s24le pcm_s32le pcm_f32le pcm_f64le"
FORMATS: tuple[Format, ...] = (
    # RIFF and its like
    *family("wav", f"{_PCM_LITTLE} pcm_alaw pcm_mulaw adpcm_ima_wav adpcm_ms libmp3lame", "wav", behaviour=COUNTED),
    *family("wav", "adpcm_yamaha g722 g726 g723_1 mp2 ac3 wmav2 dca", "wav", behaviour=COUNTED, is_rare=True),
    *family("rf64", "pcm_s16le pcm_s24le", "wav", "wav", options=("-rf64", "always"), behaviour=COUNTED),
    *family("w64", "pcm_s16le pcm_f32le", "w64", behaviour=COUNTED),
    *family("aiff", "pcm_s16be pcm_s24be pcm_s8 pcm_s16le pcm_f32be pcm_f64be", "aiff", behaviour=COUNTED),
    *family("aiff", "pcm_alaw pcm_mulaw adpcm_ima_qt pcm_s32be", "aiff", behaviour=COUNTED, is_rare=True),
    *family("au", "pcm_s16be pcm_mulaw pcm_alaw pcm_s8 pcm_s24be pcm_s32be pcm_f32be", "au", behaviour=COUNTED),
    *family("au", "pcm_f64be g722", "au", behaviour=COUNTED, is_rare=True),
    *family("caf", "pcm_s16le pcm_s24be pcm_f32le alac aac libopus pcm_mulaw", "caf", behaviour=COUNTED),
    *family(
        "caf",
        "adpcm_ima_qt flac pcm_alaw pcm_s8 libmp3lame ac3 libopencore_amrnb",
        "caf",
        behaviour=COUNTED,
        is_rare=True,
    ),
    # One codec's own file
    *family("flac", "flac flac@48000", "flac", behaviour=TIMED),
    *family("mp3", "libmp3lame libmp3lame@16000 libmp3lame@48000", "mp3", behaviour=COUNTED),
    *family("mp3 without a count", "libmp3lame", "mp3", "mp3", options=("-write_xing", "0"), behaviour=BARE),
    *family("mp2", "mp2 libtwolame mp2fixed", "mp2", behaviour=BARE),
    *family("aac", "aac aac@16000 aac@48000", "aac", "adts", behaviour=BARE),
    *family("latm", "aac", "latm", behaviour=BARE, is_rare=True),
    *family("ac3", "ac3 ac3_fixed", "ac3", behaviour=BARE),
    *family("eac3", "eac3", "eac3", behaviour=BARE),
    *family("dts", "dca", "dts", behaviour=BARE, is_rare=True),
    *family("truehd", "truehd", "thd", behaviour=BARE, is_rare=True),
    *family("mlp", "mlp", "mlp", behaviour=BARE, is_rare=True),
    *family("amr", "libopencore_amrnb", "amr", behaviour=BARE),
    *family("tta", "tta tta@48000", "tta", behaviour=INDEXED, is_rare=True),
    *family("wv", "wavpack wavpack@44100", "wv", behaviour=TIMED, is_rare=True),
    # Ogg
    *family("ogg", "libvorbis libopus flac vorbis opus", "ogg", behaviour=LIVE),
    *family("oga", "flac", "oga", behaviour=LIVE),
    *family("opus", "libopus", "opus", behaviour=LIVE),
    *family("ogv", "libvorbis", "ogv", picture=("-c:v", "libtheora"), behaviour=LIVE),
    # MP4 and QuickTime
    *family("m4a", "aac alac", "m4a", "ipod", options=("-movflags", "faststart"), behaviour=INDEXED),
    *family(
        "mp4",
        "aac libopus flac ac3 eac3 libmp3lame mp2 alac pcm_s16le pcm_s24be",
        "mp4",
        options=("-movflags", "faststart"),
        behaviour=INDEXED,
    ),
    *family("mp4", "dca truehd", "mp4", options=("-movflags", "faststart"), behaviour=INDEXED, is_rare=True),
    *family(
        "mp4 with a picture",
        "aac",
        "mp4",
        "mp4",
        picture=("-c:v", "mpeg4", "-movflags", "faststart"),
        behaviour=INDEXED,
    ),
    *family("mp4 index last", "aac", "mp4", "mp4", is_cut_readable=False, behaviour=INDEXED),
    *family(
        "mp4 in fragments",
        "aac libopus flac",
        "mp4",
        "mp4",
        options=("-movflags", "empty_moov+default_base_moof", "-frag_duration", "1000000"),
        behaviour=LIVE,
    ),
    *family("ismv", "aac", "ismv", behaviour=LIVE, is_rare=True),
    *family(
        "mov",
        "aac alac pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_f32le pcm_u8 pcm_mulaw pcm_alaw adpcm_ima_qt "
        "libmp3lame ac3",
        "mov",
        options=("-movflags", "faststart"),
        behaviour=INDEXED,
    ),
    *family(
        "mov",
        "pcm_s8 pcm_s32le pcm_s32be pcm_f32be pcm_f64le pcm_f64be eac3 mp2 adpcm_ms adpcm_ima_wav libopencore_amrnb",
        "mov",
        options=("-movflags", "faststart"),
        behaviour=INDEXED,
        is_rare=True,
    ),
    *family("3gp", "libopencore_amrnb aac", "3gp", options=("-movflags", "faststart"), behaviour=INDEXED),
    *family("3g2", "libopencore_amrnb aac", "3g2", options=("-movflags", "faststart"), behaviour=INDEXED),
    *family(
        "psp", "aac", "mp4", "psp", options=("-movflags", "faststart"), picture=_MPEG4, behaviour=INDEXED, is_rare=True
    ),
    *family("f4v", "aac libmp3lame", "f4v", options=("-movflags", "faststart"), behaviour=INDEXED),
    # Matroska
    *family(
        "mka",
        "libopus libvorbis aac libmp3lame flac alac ac3 eac3 pcm_s16le pcm_s24le pcm_f32le mp2 vorbis opus",
        "mka",
        "matroska",
        behaviour=TIMED,
    ),
    *family(
        "mka",
        "dca truehd mlp tta wavpack wmav2 wmav1 pcm_s16be pcm_u8 pcm_mulaw pcm_alaw adpcm_ms adpcm_ima_wav "
        "real_144 g726 pcm_f64le",
        "mka",
        "matroska",
        behaviour=TIMED,
        is_rare=True,
    ),
    *family("mkv", "aac libopus", "mkv", "matroska", picture=_MPEG4, behaviour=TIMED),
    *family("webm", "libopus libvorbis", "webm", behaviour=TIMED),
    *family("webm with a picture", "libopus", "webm", "webm", picture=("-c:v", "libvpx"), behaviour=TIMED),
    *family("webm live", "libopus libvorbis", "webm", "webm", options=("-live", "1"), behaviour=LIVE),
    # AVI, ASF, FLV
    *family("avi", "libmp3lame pcm_s16le ac3 aac mp2 pcm_u8 pcm_mulaw", "avi", picture=_MPEG4, behaviour=COUNTED),
    *family("avi", "adpcm_ms adpcm_ima_wav wmav2 dca pcm_alaw", "avi", picture=_MPEG4, behaviour=COUNTED, is_rare=True),
    *family("wma", "wmav2 wmav1 libmp3lame", "wma", "asf", behaviour=TIMED),
    *family("wma", "aac pcm_s16le ac3", "wma", "asf", behaviour=TIMED, is_rare=True),
    *family("wmv", "wmav2", "wmv", "asf", picture=("-c:v", "wmv2"), behaviour=TIMED),
    *family("flv", "libmp3lame aac", "flv", behaviour=TIMED),
    *family("flv", "nellymoser adpcm_swf pcm_mulaw@8000 pcm_alaw@8000", "flv", behaviour=TIMED, is_rare=True),
    *family("flv", "pcm_s16le@22050 pcm_u8@22050 libopus flac ac3 eac3", "flv", behaviour=TIMED, is_rare=True),
    *family("flv with a picture", "aac", "flv", "flv", picture=("-c:v", "flv1"), behaviour=TIMED),
    # MPEG
    *family("ts", "aac mp2 libmp3lame ac3 eac3 libopus", "ts", "mpegts", behaviour=LIVE),
    *family("ts", "dca truehd s302m", "ts", "mpegts", behaviour=LIVE, is_rare=True),
    *family("ts with a picture", "aac mp2", "ts", "mpegts", picture=_MPEG2, behaviour=LIVE),
    *family("m2ts", "ac3 pcm_bluray", "m2ts", "mpegts", options=("-mpegts_m2ts_mode", "1"), behaviour=LIVE),
    *family("mpg", "mp2 libmp3lame ac3", "mpg", "mpeg", picture=("-c:v", "mpeg1video"), behaviour=LIVE),
    *family("vob", "mp2 ac3 dca pcm_dvd pcm_s16be@48000", "vob", picture=_MPEG2, behaviour=LIVE),
    *family("dvd", "ac3", "vob", "dvd", picture=_MPEG2, behaviour=LIVE),
    *family("vcd", "mp2", "mpg", "vcd", picture=("-c:v", "mpeg1video"), behaviour=LIVE),
    *family("svcd", "mp2", "mpg", "svcd", picture=_MPEG2, behaviour=LIVE),
    # Studios, broadcast, games, and what is left of the nineties
    *family("nut", "aac libvorbis pcm_s16le libmp3lame", "nut", behaviour=LIVE, is_rare=True),
    *family(
        "mxf",
        "pcm_s16le@48000 pcm_s24le@48000",
        "mxf",
        picture=_MPEG2,
        is_picture_first=True,
        behaviour=INDEXED,
        is_rare=True,
    ),
    *family(
        "mxf_d10",
        "pcm_s16le@48000 pcm_s24le@48000",
        "mxf",
        size="720x576",
        is_picture_first=True,
        behaviour=INDEXED,
        is_rare=True,
        picture=_D10,
    ),
    *family("mxf_opatom", "pcm_s16le@48000 pcm_s24le@48000", "mxf", behaviour=INDEXED, is_rare=True),
    *family(
        "gxf",
        "pcm_s16le@48000",
        "gxf",
        picture=("-c:v", "mpeg2video", "-r", "25"),
        size="720x576",
        is_picture_first=True,
        behaviour=TIMED,
        is_rare=True,
    ),
    *family("wtv", "ac3 mp2", "wtv", picture=_MPEG2, behaviour=TIMED, is_rare=True),
    *family(
        "dv",
        "pcm_s16le@48000",
        "dv",
        picture=("-c:v", "dvvideo", "-pix_fmt", "yuv420p"),
        size="720x576",
        behaviour=BARE,
        is_rare=True,
    ),
    *family("rm", "real_144 ac3", "rm", behaviour=TIMED, is_rare=True),
    *family("swf", "libmp3lame", "swf", picture=("-c:v", "flv1"), behaviour=BARE, is_rare=True),
    *family(
        "avm2",
        "libmp3lame",
        "swf",
        "avm2",
        picture=("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
        behaviour=BARE,
        is_rare=True,
    ),
    *family("voc", "pcm_u8@15625 pcm_s16le pcm_alaw pcm_mulaw", "voc", behaviour=COUNTED, is_rare=True),
    *family("ircam", "pcm_s16le pcm_f32le pcm_mulaw pcm_alaw", "sf", "ircam", behaviour=BARE, is_rare=True),
    *family("sox", "pcm_s32le pcm_s32be", "sox", behaviour=COUNTED, is_rare=True),
    *family("spdif", "ac3 mp2 dca", "spdif", behaviour=BARE, is_rare=True),
    *family("rso", "pcm_u8", "rso", behaviour=COUNTED, is_rare=True),
    *family("mmf", "adpcm_yamaha@22050", "mmf", behaviour=COUNTED, is_rare=True),
    *family("adx", "adpcm_adx@44100", "adx", behaviour=COUNTED, is_rare=True),
    *family("ast", "pcm_s16be_planar", "ast", behaviour=COUNTED, is_rare=True),
    *family(
        "smjpeg", "pcm_s16le", "mjpg", picture=("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"), behaviour=TIMED, is_rare=True
    ),
    *family("roq", "roq_dpcm", "roq", picture=("-c:v", "roqvideo", "-r", "30"), behaviour=BARE, is_rare=True),
    *family(
        "film_cpk",
        "pcm_s16be_planar pcm_s8_planar",
        "cpk",
        picture=("-c:v", "rawvideo", "-pix_fmt", "rgb24"),
        behaviour=INDEXED,
        is_rare=True,
    ),
    *family(
        "amv",
        "adpcm_ima_amv",
        "amv",
        picture=("-c:v", "amv", "-r", "10", "-block_size", "2205"),
        size="160x112",
        is_picture_first=True,
        behaviour=BARE,
        is_rare=True,
    ),
    *family("alp", "adpcm_ima_alp", "tun", behaviour=COUNTED, is_rare=True),
    *family("apm", "adpcm_ima_apm", "apm", behaviour=COUNTED, is_rare=True),
    *family("argo_asf", "adpcm_argo", "asf", behaviour=COUNTED, is_rare=True),
    *family("kvag", "adpcm_ima_ssi", "vag", behaviour=COUNTED, is_rare=True),
    *family("wsaud", "adpcm_ima_ws", "aud", behaviour=COUNTED, is_rare=True),
    *family("daud", "pcm_s24daud", "302", behaviour=BARE, is_rare=True),
    *family(
        "iamf",
        "libopus flac",
        "iamf",
        options=(
            "-stream_group",
            "type=iamf_audio_element:id=1:st=0:audio_element_type=channel,layer=ch_layout=mono",
            "-stream_group",
            "type=iamf_mix_presentation:id=3:stg=0:annotations=en-us=Mix,submix=parameter_id=100:"
            "parameter_rate=48000|element=stg=0:parameter_id=100:annotations=en-us=Scene|layout=sound_system=stereo",
            "-streamid",
            "0:0",
        ),
        behaviour=BARE,
        is_rare=True,
    ),
    # Nothing but samples or frames, without a mark of what they are
    *family("sbc", "sbc", "sbc", behaviour=BARE, is_rare=True),
    *family("g723_1", "g723_1", "tco", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("g722", "g722", "g722", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("g726", "g726", "g726", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("g726le", "g726le", "g726le", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("aptx", "aptx", "aptx", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("aptx_hd", "aptx_hd", "aptxhd", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("dfpwm", "dfpwm", "dfpwm", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("s16le", "pcm_s16le", "raw", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("f32be", "pcm_f32be", "raw", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("alaw", "pcm_alaw", "al", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("mulaw", "pcm_mulaw", "ul", behaviour=BARE, is_rare=True, is_headerless=True),
    *family("vidc", "pcm_vidc", "vidc", behaviour=BARE, is_rare=True, is_headerless=True),
)


NOT_COVERED = {
    "anull": "has no sound",
    "comfortnoise": "is noise",
    "pcm_s16le_planar": "no container of this ffmpeg takes it",
    "pcm_s24le_planar": "no container of this ffmpeg takes it",
    "pcm_s32le_planar": "no container of this ffmpeg takes it",
    "pcm_s64be": "headerless only",
    "pcm_s64le": "headerless only",
    "pcm_u16be": "headerless only",
    "pcm_u16le": "headerless only",
    "pcm_u24be": "headerless only",
    "pcm_u24le": "headerless only",
    "pcm_u32be": "headerless only",
    "pcm_u32le": "headerless only",
}
"""Encoders of this ffmpeg that no file is made with, and why."""


def format_named(name: str) -> Format:
    """`mka aac`: the first of this container and codec."""
    return next(one for one in FORMATS if one.name == name)
