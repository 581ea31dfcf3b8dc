"""The dropscribe command."""
