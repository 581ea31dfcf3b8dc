"""Tests and benchmarks for a machine with CUDA."""
