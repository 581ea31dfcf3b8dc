"""Parakeet on NVIDIA NeMo: loading, export, batched inference and CUDA graphs."""
