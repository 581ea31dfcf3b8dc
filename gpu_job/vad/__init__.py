"""Voice activity detection: where in a stretch of samples somebody speaks."""
