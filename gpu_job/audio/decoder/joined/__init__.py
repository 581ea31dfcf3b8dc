"""Where one recording ends in a file and another begins."""
