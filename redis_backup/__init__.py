"""Ensures that ApsaraDB for Redis / Tair instances have a backup that began at or after a given moment."""

__version__ = "0.1.0"
