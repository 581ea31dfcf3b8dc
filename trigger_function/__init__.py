"""The Cloud Function: an upload's event in, a dispatched job out. Imports neither torch nor NeMo."""
