"""What FFmpeg's own decoders do not do as it is needed here: packets -> frames, codec by codec."""
