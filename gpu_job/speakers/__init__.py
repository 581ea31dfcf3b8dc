"""Who speaks when: over the whole recording, beside its transcription.

    windows of 10 s, every 5 s -> who of up to three people speaks in each frame -> a voice of each -> the same voices
    of all windows are one speaker -> turns -> the speaker of each word

`diarizer.py` is the stage, `turns.py` its answer, `words.py` what the transcript makes of it.
"""
