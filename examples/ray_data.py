"""Prompts from a file on Ray Data: an actor pool whose actors share one quota.

The input has one object with an id and a prompt in each line. The output is a folder of JSON
files. The actors read the API key from their own environment, so Ray never gets it.

export CEREBRAS_API_KEY=... CEREBRAS_QUOTA_STORE=redis://...
python examples/ray_data.py prompts.jsonl answers
"""

import os
import sys
from typing import Any

import ray.data

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.batch import arun_batch


def read_key() -> str:
    """Return the API key; it is called in the actors."""
    return os.environ["CEREBRAS_API_KEY"]


class Completer:
    """The state of one actor. Ray pickles the model and passes it to each actor."""

    def __init__(self, model: ChatCerebrasInference) -> None:
        self._model = model

    async def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Complete the prompts of a batch of rows, which has a column for each field."""
        rows = [
            {"id": id_, "prompt": prompt}
            for id_, prompt in zip(batch["id"], batch["prompt"], strict=True)
        ]
        results = [result async for result in arun_batch(self._model, rows)]
        return {
            "id": [result.id for result in results],
            "text": [result.text for result in results],
            "error": [str(result.error or "") for result in results],
        }


def main(source: str, target: str) -> None:
    """Complete the prompts of a file, on the cluster of RAY_ADDRESS or on this machine."""
    model = ChatCerebrasInference(api_key=read_key, max_tokens=500, pace=True)
    prompts = ray.data.read_json(source, lines=True)
    completions = prompts.repartition(target_num_rows_per_block=100).map_batches(
        Completer,
        fn_constructor_args=(model,),
        compute=ray.data.ActorPoolStrategy(size=4),
        num_cpus=0.2,  # an actor mostly waits for the network
    )
    completions.write_json(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
