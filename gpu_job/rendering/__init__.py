"""Long transcripts are rendered in a process of their own, which takes no time of the engine's interpreter."""
