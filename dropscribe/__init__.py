"""For programs that use a deployment: upload files, follow their jobs, fetch the results."""
