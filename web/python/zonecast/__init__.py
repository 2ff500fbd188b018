"""Publish and receive the live events of warehouses and zones through a Zonecast server.

    await zonecast.publish(url, "warehouse-1", "zone-a", "ZONE_UPDATE", {"pickRate": 1402}, key=key)

    sub = zonecast.Subscription(url, ["zone:warehouse-1:zone-a"], token=token)
    async for event in sub:
        ...

It needs nothing but the standard library. The protocol is docs/protocol.md of the server's
repository.
"""

from .errors import ZonecastError
from .publishing import publish
from .subscribing import Event, Subscription

__all__ = ["Event", "Subscription", "ZonecastError", "publish"]
