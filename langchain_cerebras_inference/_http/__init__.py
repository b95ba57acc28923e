"""Bytes in and out: HTTP, event streams, the loop for synchronous callers."""
