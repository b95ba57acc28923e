"""An LCEL pipeline: two views of a topic, asked for at once, become one answer.

CEREBRAS_API_KEY=... python examples/pipeline.py "working from home"
"""

import sys

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableParallel, RunnablePassthrough

from langchain_cerebras_inference import ChatCerebrasInference

FOR = ChatPromptTemplate.from_template("Give one argument for {topic}.")
AGAINST = ChatPromptTemplate.from_template("Give one argument against {topic}.")
VERDICT = ChatPromptTemplate.from_messages(
    [
        ("system", "You weigh arguments, in three sentences at most."),
        ("human", "Topic: {topic}\n\nFor: {pro}\n\nAgainst: {con}"),
    ]
)


def pipeline(model: ChatCerebrasInference) -> Runnable[str, str]:
    """Make topic → views → verdict."""
    text = model | StrOutputParser()
    views = RunnableParallel(
        topic=RunnablePassthrough(),
        pro={"topic": RunnablePassthrough()} | FOR | text,
        con={"topic": RunnablePassthrough()} | AGAINST | text,
    )
    return views | VERDICT | text


def main() -> None:
    """Stream the verdict on the topic of the command line."""
    topic = " ".join(sys.argv[1:]) or "working from home"
    model = ChatCerebrasInference(reasoning_effort="low")
    for piece in pipeline(model).stream(topic):
        print(piece, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
