"""What shows that sound is missing at a place of a file: numbers, checksums, and bytes that lead to nothing."""
