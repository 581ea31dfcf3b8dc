"""What programs send that were written for another service: OpenAI's transcriptions, and Deepgram's pre-recorded audio.

Each request becomes an upload like any other, waits for its outcome, and is answered in the other service's JSON. What
the other service offers and this one does not is refused by name; hints that only nudge a model are named as ignored.
"""
