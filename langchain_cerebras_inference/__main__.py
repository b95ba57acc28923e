"""The command line: `python -m langchain_cerebras_inference`."""

from langchain_cerebras_inference.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
