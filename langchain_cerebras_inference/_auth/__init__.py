"""Authentication: API keys, and the exchange of cookies for demo keys."""
