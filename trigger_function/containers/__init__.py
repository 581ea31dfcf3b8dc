"""What inspection knows of container formats."""
