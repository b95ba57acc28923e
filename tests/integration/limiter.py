"""A server that enforces quotas as Cerebras does, over loopback.

Two buckets, of requests and of tokens, are refilled continuously. A request reserves its
prompt and its longest completion; the headers say what remains. All amounts are per second,
so that tests can run on a scale of their own.

It can do what the emulator cannot: a test can change the limits and the levels of the buckets
at any time, half of the latency passes before the decision, as on the way to a server, and only
a share of the reserved completion may be refunded.
"""

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_PROMPT_OVERHEAD = 60
_MAX_RESERVED_COMPLETION = 16_384
_EVENTS = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
    {"choices": [{"index": 0, "delta": {"content": "Hello"}}]},
    {"choices": [{"index": 0, "delta": {"content": " you"}, "finish_reason": "stop"}]},
)


@dataclass
class Limiter:
    """The quotas of the server, and what it did with the requests.

    Attributes:
        requests_per_second: The limit of requests.
        burst_seconds: Seconds of the rate that a full bucket contains.
        tokens_per_second: The limit of tokens.
        hidden_requests_per_second: A limit of requests that no header shows, if any.
        refunded_share: The share of the reserved completion that is refunded after it.
        used_by_others: The share of each limit that other clients use, from 0 to 1.
        latency: The shortest and longest time of a request, in seconds.
        accepted: Time, authorization and prompt of each accepted request.
        rejected: The times of the rejected requests.
    """

    requests_per_second: float = 1e6
    burst_seconds: float = 1.0
    tokens_per_second: float = 1e9
    hidden_requests_per_second: float | None = None
    refunded_share: float = 0.0
    used_by_others: float = 0.0
    latency: tuple[float, float] = (0.0, 0.0)
    accepted: list[tuple[float, str, str]] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    accepted_tokens: float = 0.0
    url: str = ""

    def __post_init__(self) -> None:
        self.fill()
        self._time = time.monotonic()
        self._random = random.Random(7)  # noqa: S311 # equal in each run

    def fill(self) -> None:
        """Fill all buckets."""
        self.request_level = self.requests_per_second * self.burst_seconds
        self.token_level = self.tokens_per_second * self.burst_seconds
        self.hidden_level = self.hidden_requests_per_second or 0.0

    def empty(self) -> None:
        """Empty the buckets."""
        self._refill()
        self.request_level = self.token_level = self.hidden_level = 0.0

    @property
    def duration(self) -> float:
        """The seconds from the first to the last accepted request."""
        times = [time for time, _, _ in self.accepted]
        return max(times) - min(times)

    def compute_usage(self) -> float:
        """Return the used share of what the quota allowed.

        It allowed one full bucket, and the refill from the first to the last accepted request.
        """
        seconds = self.burst_seconds + self.duration * (1 - self.used_by_others)
        requests = len(self.accepted) / (self.requests_per_second * seconds)
        return max(requests, self.accepted_tokens / (self.tokens_per_second * seconds))

    def decide(self, authorization: str, body: Any) -> tuple[str | None, float]:
        """Accept a request or reject it; return the error code and the tokens to refund."""
        self._refill()
        prompt = str(body["messages"][-1]["content"])
        completion = _MAX_RESERVED_COMPLETION
        limit = body.get("max_completion_tokens")
        if isinstance(limit, int) and limit >= 0:
            completion = min(limit, completion)
        tokens = len(prompt) / 4 + _PROMPT_OVERHEAD + completion
        if self.request_level < 1 or (
            self.hidden_requests_per_second and self.hidden_level < 1
        ):
            self.rejected.append(time.monotonic())
            return "request_quota_exceeded", 0.0
        if self.token_level < tokens:
            self.rejected.append(time.monotonic())
            return "token_quota_exceeded", 0.0
        self.request_level -= 1
        self.hidden_level -= 1
        self.token_level -= tokens
        self.accepted.append((time.monotonic(), authorization, prompt))
        refund = completion * self.refunded_share
        self.accepted_tokens += tokens - refund
        return None, refund

    def refund(self, tokens: float) -> None:
        """Give back tokens that were reserved and not used."""
        self._refill()
        self.token_level = min(
            self.tokens_per_second * self.burst_seconds, self.token_level + tokens
        )

    def create_headers(self) -> dict[str, str]:
        """Create the twelve headers with the limits and the remaining amounts."""
        headers = {}
        for unit, rate, level in (
            ("requests", self.requests_per_second, self.request_level),
            ("tokens", self.tokens_per_second, self.token_level),
        ):
            for period, seconds in (("minute", 60), ("hour", 3_600), ("day", 86_400)):
                remaining = level if period == "minute" else rate * seconds / 2
                headers[f"x-ratelimit-limit-{unit}-{period}"] = f"{rate * seconds:g}"
                headers[f"x-ratelimit-remaining-{unit}-{period}"] = str(int(remaining))
        return headers

    def _refill(self) -> None:
        now = time.monotonic()
        seconds = (now - self._time) * (1 - self.used_by_others)
        self._time = now
        for name, rate, burst in (
            ("request_level", self.requests_per_second, self.burst_seconds),
            ("token_level", self.tokens_per_second, self.burst_seconds),
            ("hidden_level", self.hidden_requests_per_second or 0.0, 1.0),
        ):
            level = min(max(rate * burst, 1.0), getattr(self, name) + rate * seconds)
            setattr(self, name, level)

    # --- HTTP ---------------------------------------------------------------------------

    @contextmanager
    def serve(self) -> Iterator["Limiter"]:
        """Serve in a thread, and set `url` to the base URL."""
        loop = asyncio.new_event_loop()
        ready = threading.Event()
        stop = asyncio.Event()

        async def main() -> None:
            server = await asyncio.start_server(
                self._handle_connection, "127.0.0.1", 0, backlog=4_096
            )
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            ready.set()
            await stop.wait()
            server.close()
            connections = asyncio.all_tasks() - {asyncio.current_task()}
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

        def run() -> None:
            loop.run_until_complete(main())
            loop.close()

        thread = threading.Thread(target=run)
        thread.start()
        ready.wait()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()

    async def _handle_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                body = json.loads(await reader.readexactly(int(fields["content-length"])))
                await self._respond(writer, fields.get("authorization", ""), body)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _respond(
        self, writer: asyncio.StreamWriter, authorization: str, body: Any
    ) -> None:
        await self._delay()
        code, refund = self.decide(authorization, body)
        headers = self.create_headers()
        await self._delay()
        if code is not None:
            error = {"message": "The limit is exceeded.", "type": "quota", "code": code}
            content_type, data = "application/json", json.dumps(error).encode()
        elif body.get("stream"):
            content_type = "text/event-stream"
            events = (f"data: {json.dumps(event)}\n\n" for event in _EVENTS)
            data = ("".join(events) + "data: [DONE]\n\n").encode()
        else:
            message = {"role": "assistant", "content": "Hello you"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            content_type = "application/json"
            data = json.dumps({"choices": [choice]}).encode()
        status = "429 Too Many Requests" if code else "200 OK"
        fields = {"Content-Type": content_type, "Content-Length": len(data), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + data)
        await writer.drain()
        if refund:
            self.refund(refund)

    async def _delay(self) -> None:
        if self.latency[1]:
            await asyncio.sleep(self._random.uniform(*self.latency) / 2)
