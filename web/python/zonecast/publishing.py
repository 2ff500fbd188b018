"""Publishing over HTTP."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import uuid
from typing import Any
from urllib.parse import quote

from .errors import ZonecastError
from .http import check_base, request

_TEMPORARY = {429, 502, 503, 504}
_ATTEMPT_TIMEOUT = 5.0


async def publish(url: str, warehouse: str, zone: str | None, event: str, data: Any = None, *, key: str = "",
                  retain: bool = False, durable: bool = False, idempotency_key: str = "", within: float = 30,
                  tls: ssl.SSLContext | None = None) -> dict[str, str]:
    """Publishes an event to a zone, or without a zone to the warehouse's own room.

    Returns {"room": …, "offset": …}. It tries again for `within` seconds, always with the same
    idempotency key: the event is published once however often it tries. Raises ZonecastError when
    the server refuses, ValueError for arguments that can't be sent, and OSError or TimeoutError
    when there was no answer: then the event may have been published or not. With `durable` it
    returns when Redis has the event on disk or on replicas, as the server is set up; an error with
    the code not_durable says that it was published and that this is not known.
    """
    room = f"{quote(warehouse, safe='')}" + (f"/zones/{quote(zone, safe='')}" if zone else "")
    target = f"{check_base(url)}/api/v1/warehouses/{room}/broadcast"
    message: dict[str, Any] = {"event": event, "data": data}
    if retain:
        message["retain"] = True
    if durable:
        message["durable"] = True
    try:
        body = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"data has no JSON form: {error}") from error
    headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    clock = asyncio.get_running_loop().time
    end = clock() + within
    for attempt in range(1_000_000):
        try:
            async with asyncio.timeout_at(min(end, clock() + _ATTEMPT_TIMEOUT)):
                async with request("POST", target, headers, body, tls=tls) as answer:
                    if answer.status == 200:
                        return json.loads(await answer.body.read())
                    error: Exception = await answer.error()
        except (OSError, ValueError, EOFError) as caught:
            if isinstance(caught, ssl.SSLCertVerificationError) or type(caught) is ValueError:
                raise
            error = caught
        if isinstance(error, ZonecastError) and error.status not in _TEMPORARY:
            raise error
        wait = getattr(error, "retry_after", 0) + random.uniform(0, min(2, 0.1 * 2 ** min(attempt, 10)))
        if clock() + wait >= end:
            raise error
        await asyncio.sleep(wait)
    raise AssertionError("unreachable")
