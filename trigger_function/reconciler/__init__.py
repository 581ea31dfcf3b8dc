"""The reconciler: open jobs that went quiet, and uploads whose event was lost."""
