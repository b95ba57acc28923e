"""Prompts from a file on Dask: a bag whose workers share one quota.

The input has one object with an id and a prompt in each line. The output is a folder of JSON
files. The workers read the API key from their own environment, so Dask never gets it.

export CEREBRAS_API_KEY=... CEREBRAS_QUOTA_STORE=redis://...
python examples/dask_bag.py prompts.jsonl answers [tcp://SCHEDULER:PORT]
"""

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

import dask.bag
from distributed import Client

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.batch import run_batch


def read_key() -> str:
    """Return the API key; it is called in the workers."""
    return os.environ["CEREBRAS_API_KEY"]


def complete(rows: Iterable[dict[str, Any]], model: ChatCerebrasInference) -> list[str]:
    """Complete the prompts of one partition. Dask pickles the model for each worker."""
    return [
        json.dumps({"id": result.id, "text": result.text, "error": str(result.error or "")})
        for result in run_batch(model, rows)
    ]


def main(source: str, target: str, scheduler: str | None = None) -> None:
    """Complete the prompts of a file, on the cluster of a scheduler or on this machine."""
    model = ChatCerebrasInference(api_key=read_key, max_tokens=500, pace=True)
    cluster = {"address": scheduler} if scheduler else {"n_workers": 4, "threads_per_worker": 1}
    with Client(**cluster):
        # A partition is a part of the file. About 100 prompts keep a worker busy.
        rows = dask.bag.read_text(source, blocksize="16KiB").map(json.loads)
        rows.map_partitions(complete, model).to_textfiles(f"{target}/*.jsonl")


if __name__ == "__main__":
    main(*sys.argv[1:])
