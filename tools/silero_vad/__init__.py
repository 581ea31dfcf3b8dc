"""The speech detector's network: Silero's weights in a graph of our own."""
