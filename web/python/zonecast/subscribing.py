"""Receiving over Server-Sent Events."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import random
import re
import ssl
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Awaitable, Callable, Literal
from urllib.parse import urlencode

from .errors import ZonecastError
from .http import Answer, check_base, request

log = logging.getLogger("zonecast")

#: A token, or what returns one, or a coroutine of it; asked before each connection. A ZonecastError
#: of a function with the code "unauthenticated" ends the loop: nobody is signed in any more.
Token = str | Callable[[], str | Awaitable[str]]

_ROOM = re.compile(r"(warehouse:[\w.-]{1,64}|zone:[\w.-]{1,64}:[\w.-]{1,64})", re.ASCII)
_CONNECT_TIMEOUT = 10.0
_MAX_REFUSALS = 3  # of tokens in a row
_OWED = ".retained"  # ends the offset of a room whose retained events have not all come
_FINAL = {4400, 4403, 4409}  # close codes after which the same end would come again


@dataclass(frozen=True, slots=True)
class Event:
    """What happened in a room.

    kind "message": `name`, `data` and `offset` are those of a published event; `retained` marks one
    from before the subscription, which is no part of the order.
    kind "gap": the messages after `start`, up to and including `offset`, are lost for good.
    kind "conflated": the same messages were each replaced by a newer one, which follows.
    """

    kind: Literal["message", "gap", "conflated"]
    room: str
    offset: str
    name: str = ""
    data: Any = None
    time: float = 0.0  # when the server accepted it, in seconds since 1970
    retained: bool = False
    start: str = ""


@dataclass(slots=True)
class Subscription:
    """A subscription to rooms like "zone:warehouse-1:zone-a" or "warehouse:warehouse-1".

    Iterate over it: in each room events come in order and once, through all that breaks, or there
    is an event of the kind "gap". It ends by ZonecastError when the server refuses for good.
    `cursor` is where the loop stands; given to another subscription it goes on there.
    """

    url: str
    rooms: list[str]
    token: Token | None = None
    cursor: str = ""
    backoff: tuple[float, float] = (1.0, 30.0)  # seconds: the first ceiling, and the highest
    tls: ssl.SSLContext | None = None
    _offsets: dict[str, str] = field(default_factory=dict, init=False)
    _owed: dict[str, int] = field(default_factory=dict, init=False)  # retained events that are still to come

    def __post_init__(self) -> None:
        self.url = check_base(self.url)
        if not self.rooms or len(set(self.rooms)) > 128:
            raise ValueError(f"{len(self.rooms)} rooms are named: name 1 to 128")
        for room in self.rooms:
            if not _ROOM.fullmatch(room):
                raise ValueError(f"{room!r} is no room: write zone:warehouse-1:zone-a or warehouse:warehouse-1")
        for place in filter(None, self.cursor.split(",")):
            room, _, text = place.partition("@")
            offset = text.removesuffix(_OWED)
            if not re.fullmatch(r"[a-z0-9]{1,32}-\d{1,19}", offset):
                raise ValueError(f"the cursor's part {place!r} is none: give back what was read from .cursor")
            if room in self.rooms:
                self._offsets[room] = offset
                self._owed[room] = text.endswith(_OWED)
        self._note()

    def _note(self) -> None:
        places = ((room, offset, _OWED if self._owed.get(room, 0) > 0 else "") for room, offset in self._offsets.items())
        self.cursor = ",".join(f"{room}@{offset}{owed}" for room, offset, owed in places)

    async def __aiter__(self) -> AsyncIterator[Event]:
        attempt = refusals = 0
        while True:
            wait = 0.0
            try:
                async for event in self._connection():
                    if event is None:  # connected
                        attempt = refusals = 0
                        continue
                    yield event
                    if event.retained:
                        self._owed[event.room] = self._owed.get(event.room, 0) - 1
                    else:
                        self._offsets[event.room] = event.offset
                        self._owed[event.room] = 0
                    self._note()
                raise ConnectionError("the stream ended")
            except ZonecastError as error:
                refusals += error.code == "unauthenticated"
                refused = error.status or error.close  # else the token function said so
                renews = callable(self.token) and refused and refusals < _MAX_REFUSALS
                if error.code == "unauthenticated":
                    final = not renews
                elif error.status:  # without a code it is a proxy's, which may have another answer soon
                    final = bool(error.code) and error.status not in (408, 429) and error.status < 500
                else:
                    final = error.close in _FINAL
                if final:
                    raise
                wait, why = error.retry_after, str(error)
            except (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError) as error:
                # of the network, of the token function, and of what is not the protocol
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise
                why = str(error) or type(error).__name__
            wait = wait or random.uniform(0, min(self.backoff[1], self.backoff[0] * 2 ** min(attempt, 20)))
            attempt += 1
            log.info("connection to Zonecast ended: %s; again in %.1f s", why, wait)
            await asyncio.sleep(wait)

    async def _connection(self) -> AsyncIterator[Event | None]:
        """Yields None when the server has accepted the connection, then events."""
        missing = [room for room in self.rooms if room not in self._offsets]
        headers = {"Last-Event-ID": self.cursor} if self.cursor else {}
        query = urlencode([("room", room) for room in missing])
        async with contextlib.AsyncExitStack() as connection:
            if self.token is not None:
                headers["Authorization"] = f"Bearer {await self._fresh_token()}"
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                answer = await connection.enter_async_context(request("GET", f"{self.url}/sse?{query}", headers, tls=self.tls))
            if answer.status != 200:
                raise await answer.error()
            patience, after = _CONNECT_TIMEOUT, 0.0
            while True:
                try:
                    async with asyncio.timeout(patience):
                        name, text = await _next_event(answer)
                except (TimeoutError, asyncio.IncompleteReadError, EOFError) as error:
                    if after:
                        raise ZonecastError(close=1012, retry_after=after) from error
                    raise ConnectionError("the server was silent, or the stream was cut") from error
                frame = json.loads(text)
                if name == "close":
                    code = int(frame["code"])
                    raise ZonecastError(close=code, code="unauthenticated" if code == 4401 else "",
                                        detail=str(frame.get("reason", "")), retry_after=after)
                kind, data = frame["event"], frame.get("data")
                if kind == "connected":
                    patience = 2 * data["heartbeat"] / 1000
                    for place in data["rooms"]:
                        self._offsets.setdefault(place["room"], place["offset"])
                        self._owed[place["room"]] = place.get("retained", 0)
                    self._note()
                    yield None
                elif kind == "drain":
                    after = data["retryAfter"] / 1000
                elif kind in ("gap", "conflated"):
                    yield Event(kind, data["room"], data["to"], start=data["from"])
                elif "room" in frame:
                    for event in self._message(frame):
                        yield event

    async def _fresh_token(self) -> str:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT) as limit:
                token = self.token() if callable(self.token) else self.token
                token = await token if inspect.isawaitable(token) else token
            if not token:
                raise ValueError("it returned none")
            return str(token)
        except ZonecastError:
            raise
        except Exception as error:  # whatever a library of HTTP raises: the issuer may be back soon
            why = f"no token within {_CONNECT_TIMEOUT:g} s" if limit.expired() else repr(error)
            raise ConnectionError(f"the token function failed: {why}") from error

    def _message(self, frame: dict[str, Any]) -> list[Event]:
        room, offset = frame["room"], frame["offset"]
        event = Event("message", room, offset, frame["event"], frame["data"], frame["time"] / 1000, frame.get("retained", False))
        if event.retained or room not in self._offsets:
            return [event]
        (old, last), (epoch, n) = (text.rsplit("-", 1) for text in (self._offsets[room], offset))
        if epoch == old and int(n) <= int(last):
            return []  # had it
        if epoch == old and int(n) == int(last) + 1:
            return [event]
        return [Event("gap", room, f"{epoch}-{int(n) - 1}", start=self._offsets[room]), event]


async def _next_event(answer: Answer) -> tuple[str, str]:
    """The name and the data of the next event that has data (WHATWG HTML, section 9.2.6)."""
    name, lines = "", []
    while True:
        line = await answer.body.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the stream was cut off")
        text = line.decode().rstrip("\r\n")
        if not text:
            if lines:
                return name, "\n".join(lines)
            name = ""
            continue
        key, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            lines.append(value)
