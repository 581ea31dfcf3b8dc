"""What calls to Deepgram stand on: addresses that it is given, and its answers as they are stored."""
