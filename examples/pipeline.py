"""An LCEL pipeline. It requests two arguments at once, and then a conclusion from both.

If the first model fails, for example because its quota is exhausted, the second one takes over.

CEREBRAS_API_KEY=... python examples/pipeline.py "working from home"
"""

import sys

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableParallel, RunnablePassthrough

from langchain_cerebras_inference import CerebrasError, ChatCerebrasInference

FOR_PROMPT = ChatPromptTemplate.from_template("Give one argument for {topic}.")
AGAINST_PROMPT = ChatPromptTemplate.from_template("Give one argument against {topic}.")
CONCLUSION_PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "You weigh arguments, in three sentences at most."),
        ("human", "Topic: {topic}\n\nFor: {argument_for}\n\nAgainst: {argument_against}"),
    ]
)


def build_pipeline(model: Runnable[LanguageModelInput, AIMessage]) -> Runnable[str, str]:
    """Build the pipeline. Its input is a topic, and its output is the conclusion."""
    text = model | StrOutputParser()
    arguments = RunnableParallel(
        topic=RunnablePassthrough(),
        argument_for={"topic": RunnablePassthrough()} | FOR_PROMPT | text,
        argument_against={"topic": RunnablePassthrough()} | AGAINST_PROMPT | text,
    )
    return arguments | CONCLUSION_PROMPT | text


def main() -> None:
    """Stream the conclusion for the topic on the command line."""
    topic = " ".join(sys.argv[1:]) or "working from home"
    first = ChatCerebrasInference(model="gpt-oss-120b", reasoning_effort="low", max_retries=0)
    second = ChatCerebrasInference(model="qwen-3.8-27b")
    model = first.with_fallbacks([second], exceptions_to_handle=(CerebrasError,))
    for text in build_pipeline(model).stream(topic):
        print(text, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
