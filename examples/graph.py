"""A LangGraph with memory: a checkpointer keeps the conversation, and the text is streamed.

CEREBRAS_API_KEY=... python examples/graph.py "My name is Ada." "What is my name?"
"""

import sys
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from langchain_cerebras_inference import ChatCerebrasInference

Graph = CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]


def build_graph(model: ChatCerebrasInference) -> Graph:
    """Build a graph with one node, which calls the model with the whole conversation."""

    def call_model(state: MessagesState) -> MessagesState:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", call_model)
    graph.add_edge(START, "model")
    return graph.compile(checkpointer=InMemorySaver())


def ask(graph: Graph, question: str, thread: str) -> Iterator[str]:
    """Add a question to the conversation of a thread; yield the text as it arrives."""
    config = RunnableConfig(configurable={"thread_id": thread})
    state: MessagesState = {"messages": [HumanMessage(question)]}
    stream: Iterator[Any] = graph.stream(state, config, stream_mode="messages")
    for message, _ in stream:
        yield message.text


def main() -> None:
    """Ask the questions on the command line, one after the other."""
    questions = sys.argv[1:] or ["My name is Ada.", "What is my name?"]
    graph = build_graph(ChatCerebrasInference())
    for question in questions:
        print(f"> {question}")
        for text in ask(graph, question, thread="1"):
            print(text, end="", flush=True)
        print()


if __name__ == "__main__":
    main()
