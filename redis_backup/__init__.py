"""Ensure that ApsaraDB for Redis / Tair instances have a backup that started at or after a given time."""

__version__ = "0.1.0"
