"""Phrase boosting: key terms of an upload, as a tree of the model's tokens whose bonuses steer greedy decoding."""
