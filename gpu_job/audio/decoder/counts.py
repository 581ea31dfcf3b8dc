"""What one decoding counts, over all recordings and windows of a file."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_job.audio.decoder.records import Account


@dataclass
class Counts:
    """What was read and what came of it, over all recordings and windows."""

    packets: int = 0
    packet_seconds: float = 0.0
    decoded_seconds: float = 0.0
    refused: int = 0
    formats: int = 0
    estimated_loss_seconds: float = 0.0

    def account(self, frames: int, promised_seconds: float | None) -> Account:
        """Of an output of so many frames."""
        return Account(
            packets=self.packets,
            packet_seconds=self.packet_seconds,
            decoded_seconds=self.decoded_seconds,
            refused_packets=self.refused,
            formats=self.formats,
            frames=frames,
            estimated_loss_seconds=self.estimated_loss_seconds,
            promised_seconds=promised_seconds,
        )
