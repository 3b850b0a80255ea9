"""The simulator's commands, one a module."""
