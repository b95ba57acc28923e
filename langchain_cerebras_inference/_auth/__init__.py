"""Authentication: API keys, and demo keys in exchange for cookies."""
