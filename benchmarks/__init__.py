"""Benchmarks: how fast, small and cheap the function is, against references that are measured in the same run.

`cold_start` (a), `throughput` (b to d), `simulated_clock` (e, f) and `reading` (h to m) measure; `environment` builds
what is measured, `scripts/` runs in its Python, and `cloud_process` serves the cloud. `result` is one result, `report`
writes docs/benchmarks.md. `python -m benchmarks --help` shows the options.
"""
