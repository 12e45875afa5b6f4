"""svref beside PyTorch, JAX and TensorFlow: time, memory and scaling. Run `python tests/benchmarks`."""
