"""What must not be read in a transcript: where it stands among the words, in spoken form as in written. Pure.

Nothing of this knows times or audio: `shared.transcript.editing.redaction` replaces words, `gpu_job.redaction` masks
them.
"""
