#!/bin/sh
# curl tries again after 429, 503 and a connection that failed, as long as Retry-After asks; the key makes that safe.
set -eu
curl -sS --fail-with-body --retry 5 --retry-connrefused --max-time 10 \
	"${ZONECAST_URL:-http://127.0.0.1:3001}/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast" \
	-H "Authorization: Bearer ${PUBLISH_KEY:-}" -H 'Content-Type: application/json' -H "Idempotency-Key: ${EVENT_ID:-alert-7}" \
	-d '{"event":"ALERT","data":{"id":"7","severity":"warning","title":"Conveyor 3 stopped"}}'
