"""The ways to call a model, each as one function that returns the whole message."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable

Model: TypeAlias = Runnable[Any, Any]
Style: TypeAlias = Callable[[Model, Any], Any]


def summed(chunks: Iterable[AIMessageChunk]) -> AIMessageChunk:
    first, *rest = chunks
    return sum(rest, first)


async def collected(chunks: AsyncIterator[Any]) -> list[Any]:
    return [chunk async for chunk in chunks]


def invoke(model: Model, question: Any) -> AIMessage:
    answer: AIMessage = model.invoke(question)
    return answer


def ainvoke(model: Model, question: Any) -> AIMessage:
    answer: AIMessage = asyncio.run(model.ainvoke(question))
    return answer


def stream(model: Model, question: Any) -> AIMessage:
    return summed(model.stream(question))


def astream(model: Model, question: Any) -> AIMessage:
    return summed(asyncio.run(collected(model.astream(question))))


def batch(model: Model, question: Any) -> AIMessage:
    answers: list[AIMessage] = model.batch([question])
    return answers[0]


def abatch(model: Model, question: Any) -> AIMessage:
    answers: list[AIMessage] = asyncio.run(model.abatch([question]))
    return answers[0]


def streamed_invoke(model: Model, question: Any) -> AIMessage:
    return invoke(model.bind(stream=True), question)


def streamed_ainvoke(model: Model, question: Any) -> AIMessage:
    return ainvoke(model.bind(stream=True), question)


def _by_name(*styles: Style) -> Mapping[str, Style]:
    return {style.__name__: style for style in styles}


WHOLE = _by_name(invoke, ainvoke, batch, abatch)
STREAMED = _by_name(stream, astream, streamed_invoke, streamed_ainvoke)
STYLES = {**WHOLE, **STREAMED}
