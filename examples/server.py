"""A LangServe app that serves the model and a chain. Each request can configure them.

pip install "langserve[server]" uvicorn
CEREBRAS_API_KEY=... python examples/server.py

Then open http://127.0.0.1:8000/chain/playground/ to try it.
"""

import os

import uvicorn
from fastapi import FastAPI
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableFieldSingleOption
from langserve import add_routes

from langchain_cerebras_inference import ChatCerebrasInference

# These settings may be None, for which LangServe's playground has no form: with a plain
# ConfigurableField it would stay blank. A list of options works.
MODEL = ChatCerebrasInference(reasoning_effort="low", max_tokens=2000).configurable_fields(
    reasoning_effort=ConfigurableFieldSingleOption(
        id="reasoning_effort",
        name="Reasoning effort",
        options={"low": "low", "medium": "medium", "high": "high"},
        default="low",
    ),
    max_tokens=ConfigurableFieldSingleOption(
        id="length",
        name="Length limit",
        options={"short": 500, "long": 2000},
        default="long",
    ),
)
PROMPT = ChatPromptTemplate.from_template("Explain {topic} to a ten-year-old.")

app = FastAPI(title="Cerebras with LangServe")
add_routes(app, MODEL, path="/model")
add_routes(app, PROMPT | MODEL | StrOutputParser(), path="/chain")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
