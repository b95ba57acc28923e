"""Conversion between LangChain and the API. It uses neither the network nor an event loop."""
