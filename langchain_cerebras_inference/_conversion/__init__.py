"""LangChain ⇄ wire. Pure: no network, no event loop."""
