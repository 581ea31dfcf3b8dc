"""The redacted recording: what was redacted in the text is masked in the audio, and listened to again.

`redacted_recording.py` is the whole of it.
"""
