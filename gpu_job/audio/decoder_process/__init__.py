"""The process that a decoder is: how it is started, limited, read and ended."""
