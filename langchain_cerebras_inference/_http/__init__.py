"""The transport: HTTP, event streams, and the event loop for synchronous calls."""
