"""Voice activity detection: where in a window of samples there is speech."""
