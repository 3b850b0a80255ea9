"""Measures how fast, small and cheap the function is, against references of the same run.

`python -m benchmarks --help` shows how.
"""
