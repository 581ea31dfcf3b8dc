"""The mono mix of all channels, in which none that sounds is lost."""
