"""The function's settings, beside those that it shares with the job (`shared/settings`)."""
