"""As much HTTP as the client needs: one request on one connection, answered in plain bytes."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from typing import AsyncIterator, Mapping
from urllib.parse import urlsplit

from .errors import ZonecastError

#: Bounds of what is read, in bytes: a line of a stream, and an answer.
MAX_LINE = 8 << 20
MAX_BODY = 1 << 20


def check_base(url: str) -> str:
    """Returns the server's URL without a slash at the end. Raises ValueError when it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f"url is {url!r}: write it like 'https://zonecast.example', without user, query and fragment")
    return url.rstrip("/")


class Answer:
    """The answer to a request, whose body is still to be read."""

    def __init__(self, status: int, headers: Mapping[str, str], body: asyncio.StreamReader):
        self.status, self.headers, self.body = status, headers, body

    async def error(self) -> ZonecastError:
        """What the server says of a request that it refuses."""
        problem: object = None
        try:
            problem = json.loads(await self.body.read(MAX_BODY))
        except ValueError:
            pass  # of a proxy it may be anything
        fields = problem if isinstance(problem, dict) else {}
        code = "unauthenticated" if self.status == 401 else str(fields.get("code", ""))
        after = self.headers.get("retry-after", "")
        return ZonecastError(status=self.status, code=code, detail=str(fields.get("detail", "")),
                             retry_after=min(float(after), 86_400) if after.isdigit() else 0)


@asynccontextmanager
async def request(method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *,
                  tls: ssl.SSLContext | None = None) -> AsyncIterator[Answer]:
    """Sends a request. It asks for HTTP/1.0, whose answers end with their connection."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or (443 if secure else 80), limit=MAX_LINE,
        ssl=(tls or ssl.create_default_context()) if secure else None)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.0", f"Host: {parts.netloc}", "User-Agent: zonecast-python", "Accept: */*"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header or the URL has a line break")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        words = (await reader.readline()).decode("latin-1").split(None, 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise ConnectionError("the answer is not HTTP")
        answered: dict[str, str] = {}
        while (line := (await reader.readline()).decode("latin-1").rstrip("\r\n")):
            name, _, value = line.partition(":")
            answered[name.strip().lower()] = value.strip()
        yield Answer(int(words[1]), answered, reader)
    finally:
        writer.close()
