"""A FastAPI app that streams reasoning and text as server-sent events.

pip install fastapi uvicorn
CEREBRAS_API_KEY=... python examples/fastapi_events.py
curl -N "http://127.0.0.1:8000/ask?question=Why+is+the+sky+blue"
"""

import json
import os
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from langchain_cerebras_inference import CerebrasError, ChatCerebrasInference

app = FastAPI(title="Cerebras with server-sent events")
model = ChatCerebrasInference(reasoning_effort="low")


def format_event(kind: str, data: str) -> str:
    """Format a server-sent event. JSON keeps the line breaks of the data in one line."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


async def stream_events(question: str) -> AsyncIterator[str]:
    """Yield the events `reasoning` and `text`, and in the end `done` or `error`."""
    try:
        async for chunk in model.astream(question):
            for block in chunk.content_blocks:
                if block["type"] == "reasoning":
                    yield format_event("reasoning", block["reasoning"])
                elif block["type"] == "text":
                    yield format_event("text", block["text"])
    except CerebrasError as error:  # the status 200 has been sent, so the error is an event
        yield format_event("error", str(error))
    else:
        yield format_event("done", "")


@app.get("/ask")
async def ask(question: str) -> StreamingResponse:
    """Answer a question. If the client disconnects, Cerebras stops generating, too."""
    return StreamingResponse(
        stream_events(question),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
