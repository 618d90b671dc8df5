"""Restarts side by side with what else there is; run it with `python -m benchmarks`."""
