"""The command line: `python -m langchain_cerebras_inference.emulator`.

`langchain-cerebras-inference emulator` is the same program.
"""

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Sequence
from shlex import quote

from langchain_cerebras_inference.emulator.server import Emulator

_MODULE = "python -m langchain_cerebras_inference.emulator"
_COMMAND = "langchain-cerebras-inference emulator"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the emulator until the process is interrupted or terminated.

    Args:
        arguments: The arguments of the command `langchain-cerebras-inference emulator`.
            `None`: this module runs as a program, so they come from `sys.argv`.
    """
    parser = _create_parser(_MODULE if arguments is None else _COMMAND)
    options = parser.parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt), _start(options, parser) as server:
        # SIGTERM stops it as Ctrl-C does: without a traceback.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        sys.stdout.write(_format_settings(server))
        sys.stdout.flush()
        threading.Event().wait()
    return 0


def _start(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Emulator:
    settings = vars(options)
    log = None if settings.pop("quiet") else sys.stdout
    try:
        return Emulator(**settings, log=log).start()
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"cannot listen on {options.host}: {error.strerror}")


def _create_parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="A local emulator of Cerebras, for tests and demonstrations.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=0, help="default: any free port")
    parser.add_argument(
        "--tokens-per-second",
        type=float,
        metavar="N",
        help="the speed of streams; default: as fast as possible",
    )
    parser.add_argument("--api-key", help="the API key to accept; default: a random key")
    parser.add_argument(
        "--latency",
        type=float,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="minimum and maximum delay of a completion, in seconds",
    )
    parser.add_argument("--quiet", action="store_true", help="do not log each request")
    _add_limits(parser)
    return parser


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group(
        "rate limits", "They apply to each API key and model separately. Default: no limits."
    )
    for unit in ("requests", "tokens"):
        for period in ("minute", "hour", "day"):
            limits.add_argument(f"--{unit}-per-{period}", type=int, metavar="N")
    limits.add_argument(
        "--burst",
        type=int,
        metavar="N",
        help="the maximum number of requests in a burst; default: --requests-per-minute",
    )
    limits.add_argument(
        "--token-burst",
        type=int,
        metavar="N",
        help="the most tokens in a burst; default: --tokens-per-minute",
    )
    limits.add_argument(
        "--requests-per-second",
        type=float,
        metavar="N",
        help="requests per second; this limit is hidden, it is not in the headers",
    )
    limits.add_argument(
        "--refund-unused-tokens",
        action="store_true",
        help="return the tokens that a request reserved and did not use",
    )
    limits.add_argument(
        "--used-by-others",
        type=float,
        default=0,
        metavar="SHARE",
        help="the share of every limit that others use all the time, for example 0.2",
    )


def _format_settings(server: Emulator) -> str:
    cookies = "; ".join(f"{name}={value}" for name, value in server.cookies.items())
    return (
        "Listening. To use an API key, run:\n\n"
        f"export CEREBRAS_API_BASE={quote(server.base_url)}\n"
        f"export CEREBRAS_API_KEY={quote(server.api_key)}\n\n"
        "To use a browser session, run:\n\n"
        f"export CEREBRAS_API_BASE={quote(server.base_url)}\n"
        f"export CEREBRAS_SESSION_URL={quote(server.session_url)}\n"
        f"export CEREBRAS_COOKIES={quote(cookies)}\n\n"
        "Ctrl-C stops it.\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
