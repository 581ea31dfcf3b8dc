"""Cloud Storage's objects, uploads and errors."""
