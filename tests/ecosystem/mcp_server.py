"""An MCP server on standard input and output, with tools that return every kind of content."""

import base64
from typing import Any

from mcp.server.fastmcp import FastMCP
from mcp.types import BlobResourceContents, EmbeddedResource, TextContent, TextResourceContents

server = FastMCP("weather")


@server.tool()
def get_weather(location: str) -> str:
    """Get the weather of a place."""
    return f"Sunny in {location}."


@server.tool(structured_output=False)
def get_forecast(location: str, days: int) -> list[Any]:
    """Get the weather of the next days, one text for each day."""
    texts = [f"Day {day} in {location}: sunny." for day in range(1, days + 1)]
    return [TextContent(type="text", text=text) for text in texts]


@server.tool()
def get_measurements(location: str) -> dict[str, float]:
    """Get the measurements at a place."""
    return {"temperature": 21.5, "humidity": 0.4}


@server.tool(structured_output=False)
def get_nothing() -> list[Any]:
    """Get nothing."""
    return []


@server.tool(structured_output=False)
def get_report() -> EmbeddedResource:
    """Get a report as a text resource."""
    resource = TextResourceContents.model_validate(
        {"uri": "file:///report.txt", "text": "All is well.", "mimeType": "text/plain"}
    )
    return EmbeddedResource(type="resource", resource=resource)


@server.tool(structured_output=False)
def get_archive() -> EmbeddedResource:
    """Get an archive as a binary resource."""
    blob = base64.b64encode(b"PK" * 1000).decode()
    resource = BlobResourceContents.model_validate(
        {"uri": "file:///report.zip", "blob": blob, "mimeType": "application/zip"}
    )
    return EmbeddedResource(type="resource", resource=resource)


@server.tool()
def fail(location: str) -> str:
    """Fail."""
    message = f"No station in {location}."
    raise ValueError(message)


if __name__ == "__main__":
    server.run("stdio")
