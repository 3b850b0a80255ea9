"""Prove that a backup can be read back: judge its files, keep receipts and copies in the store."""
