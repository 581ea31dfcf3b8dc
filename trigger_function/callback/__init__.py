"""Deepgram's callbacks: answers that it posts to the deployment, over an address that is open to the internet."""
