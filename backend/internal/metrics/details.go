package metrics

// details say what the labels of a metric mean, and what else its help has no room for, in Markdown
// for docs/metrics.md.
var details = map[string]string{
	"zonecast_audit_entries_total": "see [the audit log](security.md#the-audit-log)",
	"zonecast_audit_failures_total": "`file` (operators can change nothing then), `store` (the list lags, or lacks " +
		"entries)",
	"zonecast_broker_up":         "`broker` is `memory` or `redis`",
	"zonecast_bus_refused_total": "see [the bus](security.md#the-bus)",
	"zonecast_canary_age_seconds": "not in the metrics with `CANARY_INTERVAL=0s`; it grows while the broker is away, and while the " +
		"instance is leaving, which ends the canary",
	"zonecast_canary_events_total": "`arrived`; `refused` by the broker; `lost`: accepted, and not there within 10 s; `no_connection`: the " +
		"instance could not connect to itself, or not join the room",
	"zonecast_canary_latency_seconds": "of those that arrived. The way is that of clients, over a broker, writers and a socket that are " +
		"theirs too; the canary itself counts in no other metric of connections or messages",
	"zonecast_cluster_nodes": "less than `up` counts: this instance does not see the others",
	"zonecast_connections":   "each poll that waits is one, so exclude `transport=\"poll\"` where clients are counted",
	"zonecast_connections_closed_total": "`code` is the name of the [close code](protocol.md#staying-alive-coming-back); an answered poll is " +
		"`going_away`",
	"zonecast_connections_opened_total": "those whose handshake was completed, including those refused right after it; streams; polls: " +
		"exclude `transport=\"poll\"` where a storm is looked for",
	"zonecast_connections_refused_total": "before HTTP, by a reset: `tcp_limit` (`MAX_TCP_CONNECTIONS`), `tcp_address_limit`, `tls_handshake`; " +
		"before the handshake: `bad_frame` (not one), `invalid_room`, `invalid_offset` (the cursor), " +
		"`invalid_data` (the query), `unauthenticated` and `forbidden` (SSE and polls; `forbidden` also for " +
		"pages of other origins), `draining`, `limit_reached` (`MAX_CONNECTIONS`; of a user, over SSE and " +
		"polls; rooms of the query), `address_limit`, `rate_limited` (SSE and polls: too many requests of a " +
		"user or address), `unavailable` (`AUTH_URL` did not answer)",
	"zonecast_deliveries_dropped_total": "`slow_consumer`: lost with a connection closed with 4408; the client resumes and gets them from the " +
		"history. `connection_lost`: waited for a connection that ended otherwise; the same. `conflated`: " +
		"replaced by newer state",
	"zonecast_delivery_latency_seconds": "for events that are delivered as they come; what a client that was away is sent later does not " +
		"count. `zonecast_publish_duration_seconds` comes before it; its parts are " +
		"`zonecast_delivery_arrival_seconds` (broker to hub), `zonecast_fanout_duration_seconds` (hub to " +
		"queues) and `zonecast_delivery_queued_seconds` (to the socket)",
	"zonecast_durable_wait_seconds": "see [durable events](publishing.md#durable-events): `confirmed`, or not: `timeout`, " +
		"`failover`, `failed`. It is not part of `zonecast_publish_duration_seconds`",
	"zonecast_frames_refused_total":          "`rate_limited`: one too many",
	"zonecast_gaps_total":                    "one for each client that comes back too late, one for a room that loses its history",
	"zonecast_http_request_duration_seconds": "`route` is the pattern",
	"zonecast_http_requests_total":           "`route` is the pattern, never the path, and `none` where there is no route; a `/ws` that was upgraded counts as 101",
	"zonecast_limit": "`connections` (`MAX_CONNECTIONS`; beside it `zonecast_connections`), `tcp_connections` " +
		"(`MAX_TCP_CONNECTIONS`; `zonecast_tcp_connections`), `queued_bytes` (`MAX_QUEUED_BYTES`; " +
		"`zonecast_queued_bytes`), `rooms` (`MAX_ROOMS`; `zonecast_rooms`)",
	"zonecast_login_failures_total": "`wrong`, or `throttled` after too many; at an OpenID provider " +
		"`provider` (it did not answer or refused; the log says why), `forged`, `no_role`",
	"zonecast_messages_delivered_total": "live, retained, or read from the history",
	"zonecast_messages_dropped_total":   "kept for dashboards that ask for it; it mixes both directions",
	"zonecast_messages_received_total":  "`event` also `unknown`, `bad_frame`. Without those refused as too many",
	"zonecast_messages_replayed_total":  "`how`: `resumed` for what was missed, `fresh` for retained events",
	"zonecast_pong_timeouts_total": "they are `going_away` among the closed ones, as those " +
		"who left are",
	"zonecast_publish_duration_seconds": "with the time that it waited for its room; accepted ones " +
		"only (`ok` and `duplicate`), the same for every `via`",
	"zonecast_publishes_total": "`via`: `http`, `websocket`, `sse`, `poll`; `result`: `ok`, `duplicate` or the [error " +
		"code](protocol.md#error-codes). Each outcome counts once, whichever way the publication came; a " +
		"batch that is refused as a whole counts as one. What is refused before the body was read (401, 415, " +
		"a body too large) is only in the HTTP requests",
	"zonecast_quota_limit": "beside it `zonecast_warehouse_usage`",
	"zonecast_quota_refusals_total": "see [quotas](publishing.md#quotas): `rooms`, `history_bytes`, " +
		"`retained_bytes`, `retained_events`, `publish_rate`, or `memory_bytes` of the memory broker",
	"zonecast_screen_pairings_total": "`opened` (a code), `full` (too many screens show one), `confirmed` (by an operator), `fetched` (a token), `renewed`, `refused` " +
		"(a renewal). See [pairing](security.md#wall-screens-that-are-paired)",
	"zonecast_room_joins_total":    "`how`: `fresh`, or `resumed` from an offset. A poll with a cursor resumes each time",
	"zonecast_room_refusals_total": "`limit`: `instance` (`MAX_ROOMS`) or `warehouse` (`MAX_ROOMS_PER_WAREHOUSE`)",
	"zonecast_warehouse_connections": "the warehouses with the most, as many as `METRICS_PLACES`, and `(others)` together. A connection in " +
		"several rooms of one counts once",
	"zonecast_warehouse_publishes_total": "a name keeps its place for as long as the instance runs",
	"zonecast_warehouse_usage": "what the warehouses keep that were published to through this instance within a minute (memory " +
		"broker: all); the 100 largest, and `(others)` together",
	"zonecast_zone_connections": "the zones with the most, as many as `METRICS_PLACES`, and `(others)` together",
}
