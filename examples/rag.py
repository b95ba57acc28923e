"""Retrieval-augmented generation with an in-memory vector store.

Cerebras has no embeddings, so this example counts words. In your program, use the embeddings
of another provider. The vector store needs numpy.

CEREBRAS_API_KEY=... python examples/rag.py "When is the library open?"
"""

import re
import sys
from zlib import crc32

from langchain_core.embeddings import Embeddings
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableParallel, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_cerebras_inference import ChatCerebrasInference

FACTS = [
    "The library is open on weekdays from 9 to 18, and on Saturday from 10 to 14.",
    "A book can be borrowed for four weeks. It can be renewed twice.",
    "A library card costs 12 euros per year. It is free for children.",
]
PROMPT = ChatPromptTemplate.from_template(
    "Answer from these facts only.\n\n{facts}\n\nQuestion: {question}"
)


class WordCounts(Embeddings):
    """Embeddings that count the words of a text."""

    def embed_query(self, text: str) -> list[float]:
        """Return a vector with the number of words in each of 512 classes."""
        numbers = [crc32(word.encode()) % 512 for word in re.findall(r"\w+", text.lower())]
        return [numbers.count(number) for number in range(512)]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vector of each text."""
        return [self.embed_query(text) for text in texts]


def build_chain(model: ChatCerebrasInference) -> Runnable[str, str]:
    """Build the chain. Its input is a question, and its output is the answer."""
    store = InMemoryVectorStore.from_texts(FACTS, WordCounts())

    def find_facts(question: str) -> str:
        return "\n".join(fact.page_content for fact in store.similarity_search(question, k=2))

    inputs = RunnableParallel(facts=find_facts, question=RunnablePassthrough())
    return inputs | PROMPT | model | StrOutputParser()


if __name__ == "__main__":
    question = " ".join(sys.argv[1:]) or "When is the library open?"
    for text in build_chain(ChatCerebrasInference()).stream(question):
        print(text, end="", flush=True)
    print()
