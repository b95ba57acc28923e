"""The command line: `python -m langchain_cerebras_inference.emulator`."""

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Sequence
from shlex import quote

from langchain_cerebras_inference.emulator.server import Emulator


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the emulator until the process is interrupted or terminated."""
    parser = _create_parser()
    options = parser.parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt), _start(options, parser) as server:
        # SIGTERM stops it as Ctrl-C does: without a traceback.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        sys.stdout.write(_format_settings(server))
        sys.stdout.flush()
        threading.Event().wait()
    return 0


def _start(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Emulator:
    try:
        return Emulator(**vars(options)).start()
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"cannot listen on {options.host}: {error.strerror}")


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m langchain_cerebras_inference.emulator",
        description="A local emulator of Cerebras, for tests and demonstrations.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: any free port")
    parser.add_argument(
        "--tokens-per-second",
        type=float,
        metavar="N",
        help="speed of streams; default: as fast as possible",
    )
    parser.add_argument("--api-key", help="the key to accept; default: a random one")
    return parser


def _format_settings(server: Emulator) -> str:
    cookies = "; ".join(f"{name}={value}" for name, value in server.cookies.items())
    return (
        "Listening. Paste this for an API key:\n\n"
        f"export CEREBRAS_API_BASE={quote(server.base_url)}\n"
        f"export CEREBRAS_API_KEY={quote(server.api_key)}\n\n"
        "or this for a browser session:\n\n"
        f"export CEREBRAS_API_BASE={quote(server.base_url)}\n"
        f"export CEREBRAS_SESSION_URL={quote(server.session_url)}\n"
        f"export CEREBRAS_COOKIES={quote(cookies)}\n\n"
        "Ctrl-C stops it.\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
