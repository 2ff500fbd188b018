"""Publishes an alert, with the standard library alone. web/python is a client that does more."""
import json, os, time, urllib.error, urllib.request

url = os.environ.get("ZONECAST_URL", "http://127.0.0.1:3001") + "/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast"
body = json.dumps({"event": "ALERT", "data": {"id": "7", "severity": "warning", "title": "Conveyor 3 stopped"}}).encode()
headers = {
    "Content-Type": "application/json",
    "Authorization": "Bearer " + os.environ.get("PUBLISH_KEY", ""),
    "Idempotency-Key": os.environ.get("EVENT_ID", "alert-7"),  # makes trying again safe
}

for attempt in range(6):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
            print(answer.read().decode())
            break
    except urllib.error.HTTPError as refused:
        if refused.code not in (429, 502, 503, 504) or attempt == 5:
            raise SystemExit(refused.read().decode())  # says what to change
        time.sleep(float(refused.headers.get("Retry-After", 1)))
    except OSError:
        if attempt == 5:
            raise
        time.sleep(1)
