"""Commands that transcribe on this machine, with local servers in place of Google Cloud."""
