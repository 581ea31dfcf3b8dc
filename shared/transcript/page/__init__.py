"""transcript.html: one self-contained page to read, listen to and correct a transcript with."""
