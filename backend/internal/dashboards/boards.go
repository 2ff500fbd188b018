package dashboards

// All are the dashboards, by their files' names without .json.
func All() []Board {
	return []Board{overview(), delivery(), connections(), redis(), warehouse(), runtime(), publishing()}
}

func overview() Board {
	dropped := `sum(rate(zonecast_deliveries_dropped_total{instance=~"$instance",reason="slow_consumer"}[1h]))`
	return Board{UID: "zonecast", Title: "Zonecast: overview and objectives", Description: "Do clients get their messages, and where does it hurt?", Rows: []Row{
		{"At a glance", []Panel{
			{"Instances up", "Fewer than there should be: the alert InstanceDown in docs/runbook.md.", "none", Stat, one(sum("", of("up", `job="zonecast"`))), 1, true},
			{"Broker", "0: publishers get 503. See Cluster and Redis, and /readyz of an instance.", "none", Stat, one("min(" + of("zonecast_broker_up") + ")"), 1, true},
			{"Connections", "A step down that no restart explains: see Connections, closed by code.", "short", Stat, one(sum("", of("zonecast_connections"))), 0, false},
			{"Delivered", "Nothing, while services publish: see Publishing and Delivery.", "mps", Stat, one(rate("", "zonecast_messages_delivered_total")), 0, false},
			{"Delivery p99", "Above 100 ms: Delivery tells broker, hub and queue apart.", "s", Stat, one(quantile("0.99", "zonecast_delivery_latency_seconds")), .1, false},
			{"Gaps in an hour", "Clients missed messages for good: the alert Gaps in docs/runbook.md.", "short", Stat, one("sum(increase(" + of("zonecast_gaps_total") + "[1h]))"), 1, false},
		}},
		{"Objectives: 99 % of deliveries within 100 ms, 99.9 % not dropped", []Panel{
			{"Within 100 ms", "Below 99 %: see Delivery, where the time goes.", "percentunit", Lines, []Query{
				{share("5m"), "5 min"}, {share("1h"), "1 h"}, {share("6h"), "6 h"}}, 0, false},
			{"Budget burned", "1: the month's budget lasts a month. From 14.4 on someone is woken, from 6 on warned.", "none", Lines, []Query{
				{"(1 - " + share("1h") + ") / 0.01", "late"},
				{dropped + ` / (sum(rate(zonecast_messages_delivered_total{instance=~"$instance"}[1h])) + ` + dropped + ") / 0.001", "dropped"}}, 0, false},
		}},
		{"Canary: an event of the instance for itself, over a WebSocket of its own", []Panel{
			{"Canary latency", "What a client on the same machine would see, with or without clients. High at all: Redis; at one: its CPU.", "s", Lines, []Query{
				{"histogram_quantile(0.5, sum by (instance) (rate(" + of("zonecast_canary_latency_seconds") + "[$__rate_interval]))) or histogram_quantile(0.5, sum by (instance, le) (rate(" + of("zonecast_canary_latency_seconds_bucket") + "[$__rate_interval])))", "{{instance}}"}}, 0, false},
			{"Canary by result", "Others than arrived: refused by the broker; lost on the way; no_connection to itself. The log says why.", "ops", Lines, []Query{
				{rate("result", "zonecast_canary_events_total"), "{{result}}"}}, 0, false},
			{"Canary last seen", "Above 30 s: the alert ZonecastCanaryFails in docs/runbook.md, unless the broker is down or the instance leaves.", "s", Lines, []Query{
				{of("zonecast_canary_age_seconds"), "{{instance}}"}}, 0, false},
		}},
		{"Load", []Panel{
			{"Published and delivered", "Delivered without published: a replay after an outage. Published without delivered: nobody is in those rooms.", "mps", Lines, []Query{
				{rate("", "zonecast_publishes_total", `result="ok"`), "published"}, {rate("", "zonecast_messages_delivered_total"), "delivered"}}, 0, false},
			{"Connections by instance", "Uneven: share them out (POST /api/v1/rebalance).", "short", Lines, []Query{{sum("instance", of("zonecast_connections")), "{{instance}}"}}, 0, false},
			{"Ready and draining", "An instance neither ready nor draining has lost its broker: /readyz says why.", "none", Lines, []Query{
				{sum("", of("zonecast_ready")), "ready"}, {sum("", of("zonecast_draining")), "draining"}}, 0, false},
		}},
	}}
}

// share is that of deliveries that are in time.
func share(window string) string {
	return `sum(rate(zonecast_delivery_latency_seconds_bucket{instance=~"$instance",le="0.1"}[` + window + `])) / sum(rate(zonecast_delivery_latency_seconds_count{instance=~"$instance"}[` + window + `]))`
}

func one(expr string) []Query { return []Query{{expr, ""}} }

func delivery() Board {
	return Board{UID: "zonecast-delivery", Title: "Zonecast: delivery", Description: "How long messages take, what is dropped, who is slow.", Rows: []Row{
		{"Latency", []Panel{
			{"Acceptance to socket", "Rises at one instance only: its CPU. At all: Redis, or too much is published.", "s", Lines, quantiles("zonecast_delivery_latency_seconds", ""), 0, false},
			{"Where the time goes, p99", "arrival: Redis or the network. fan-out: rooms are large, CPU is short. queued: sockets or CPU.", "s", Lines, []Query{
				{quantile("0.99", "zonecast_publish_duration_seconds"), "publish to broker"}, {quantile("0.99", "zonecast_delivery_arrival_seconds"), "arrival: broker to hub"},
				{quantile("0.99", "zonecast_fanout_duration_seconds"), "fan-out: hub to queues"}, {quantile("0.99", "zonecast_delivery_queued_seconds"), "queued: to the socket"}}, 0, false},
			{"Acceptance to socket by transport, p99", "One transport slower than the others: its proxy path.", "s", Lines, []Query{
				{`histogram_quantile(0.99, sum by (transport, le) (rate(` + of("zonecast_delivery_latency_seconds_bucket") + `[$__rate_interval])))`, "{{transport}}"}}, 0, false},
		}},
		{"Fan-out", []Panel{
			{"Members per message", "Grows: larger rooms. CPU grows with it.", "short", Lines, []Query{
				{"sum(rate(" + of("zonecast_fanout_members_sum") + "[$__rate_interval])) / sum(rate(" + of("zonecast_fanout_members_count") + "[$__rate_interval]))", "mean"},
				{"histogram_quantile(0.99, sum by (le) (rate(" + of("zonecast_fanout_members_bucket") + "[$__rate_interval])))", "p99"}}, 0, false},
			{"Delivered by transport", "A transport that falls to nothing: its proxy path.", "mps", Lines, []Query{{rate("transport", "zonecast_messages_delivered_total"), "{{transport}}"}}, 0, false},
			{"Bytes by transport", "Close to what the network card takes: publish less, or conflate.", "Bps", Lines, []Query{{rate("transport", "zonecast_delivered_bytes_total"), "{{transport}}"}}, 0, false},
		}},
		{"Clients that lag", []Panel{
			{"Dropped by reason", "slow_consumer: clients don't read; conflated: meant; connection_lost: they resume.", "mps", Lines, []Query{{rate("reason", "zonecast_deliveries_dropped_total"), "{{reason}}"}}, 0, false},
			{"Slow clients", "All the time: GET /api/v1/connections?slow=true names them.", "short", Lines, []Query{
				{sum("instance", of("zonecast_slow_clients")), "{{instance}} now"}, {sum("", "increase("+of("zonecast_slow_clients_total")+"[5m])"), "became slow in 5 min"}}, 0, false},
			{"Queued bytes", "p99 close to the limit: those clients are about to be closed with 4408.", "bytes", Lines, []Query{
				{sum("instance", of("zonecast_outbox_bytes")), "{{instance}} in all"},
				{"histogram_quantile(0.99, sum by (le) (" + of("zonecast_queued_bytes_bucket") + "))", "p99 of a connection"},
				{"max(" + of("zonecast_limit", `limit="queued_bytes"`) + ")", "limit of a connection"}}, 0, false},
		}},
		{"Those who come back", []Panel{
			{"Joins of rooms", "Many resumed: clients lose their connections; see Connections, closed by code.", "ops", Lines, []Query{{rate("how", "zonecast_room_joins_total", `transport!="poll"`), "{{how}}"}}, 0, false},
			{"Replayed messages", "High for long: clients come and go.", "mps", Lines, []Query{{rate("how", "zonecast_messages_replayed_total"), "{{how}}"}}, 0, false},
			{"Replay duration", "Above a second: Redis is slow, or clients take it slowly.", "s", Lines, quantiles("zonecast_replay_duration_seconds", ""), 0, false},
			{"Gaps, repairs", "gaps: raise HISTORY_MESSAGES or HISTORY_AGE. repairs all the time: the connection to Redis breaks.", "short", Lines, []Query{
				{sum("", "increase("+of("zonecast_gaps_total")+"[5m])"), "gaps"}, {sum("", "increase("+of("zonecast_broker_repairs_total")+"[5m])"), "repairs"},
				{sum("", "increase("+of("zonecast_broker_forks_total")+"[5m])"), "forks"}}, 0, false},
		}},
	}}
}

func connections() Board {
	return Board{UID: "zonecast-connections", Title: "Zonecast: connections", Description: "Who is here, who comes and goes, and why. Polls are apart: each one is a connection.", Rows: []Row{
		{"Open", []Panel{
			{"By transport", "WebSockets that become polls: a proxy refuses upgrades.", "short", Lines, []Query{{sum("transport", of("zonecast_connections")), "{{transport}}"}}, 0, false},
			{"By warehouse", "One that falls to nothing: its network.", "short", Lines, []Query{{sum("warehouse", of("zonecast_warehouse_connections")), "{{warehouse}}"}}, 0, false},
			{"Beside the limits", "Above 85 %: rebalance, or add an instance.", "percentunit", Lines, []Query{
				{sum("instance", of("zonecast_connections")) + " / on (instance) " + of("zonecast_limit", `limit="connections"`), "{{instance}} connections"},
				{of("zonecast_tcp_connections") + " / on (instance) " + of("zonecast_limit", `limit="tcp_connections"`), "{{instance}} TCP"}}, 0, false},
		}},
		{"Coming and going", []Panel{
			{"Opened", "A spike after a spike of closed ones is a reconnect; one without end is a storm.", "ops", Lines, []Query{{rate("transport", "zonecast_connections_opened_total", `transport!="poll"`), "{{transport}}"}}, 0, false},
			{"Closed by code", "docs/protocol.md says what each code means; restart is a rollout.", "ops", Lines, []Query{{rate("code", "zonecast_connections_closed_total", `transport!="poll"`), "{{code}}"}}, 0, false},
			{"Polls answered", "Far more than clients divided by 25 s: they come back at once; look at their cursors.", "ops", Lines, []Query{{rate("", "zonecast_connections_closed_total", `transport="poll"`), "polls"}}, 0, false},
		}},
		{"Refused", []Panel{
			{"Refused by reason", "docs/metrics.md says what each reason means.", "ops", Lines, []Query{{rate("reason", "zonecast_connections_refused_total"), "{{reason}}"}}, 0, false},
			{"Faults of the network and the system", "accept failures: descriptors. pong timeouts: networks of sites, or a proxy that keeps dead connections.", "ops", Lines, []Query{
				{rate("", "zonecast_accept_failures_total"), "accept failures"}, {rate("", "zonecast_pong_timeouts_total"), "pong timeouts"}}, 0, false},
			{"Authentication", "failed: AUTH_URL does not answer, nobody is let in. Logins: someone guesses a password. Pairing full: someone opens codes that nobody confirms.", "ops", Lines, []Query{
				{rate("result", "zonecast_auth_url_results_total"), "AUTH_URL: {{result}}"}, {rate("reason", "zonecast_login_failures_total"), "login: {{reason}}"},
				{rate("result", "zonecast_screen_pairings_total"), "pairing: {{result}}"}}, 0, false},
			{"Frames from clients", "refused: a client sends too much; the log names it.", "ops", Lines, []Query{
				{rate("event", "zonecast_messages_received_total"), "{{event}}"}, {rate("reason", "zonecast_frames_refused_total"), "refused: {{reason}}"}}, 0, false},
		}},
	}}
}

func redis() Board {
	return Board{UID: "zonecast-cluster", Title: "Zonecast: cluster and Redis", Description: "Do the instances see one another and Redis?", Rows: []Row{
		{"Instances", []Panel{
			{"Instances seen", "Lines that differ: split cluster; compare REDIS_URL, REDIS_PREFIX and CLUSTER_SECRET.", "none", Lines, []Query{{of("zonecast_cluster_nodes"), "{{instance}}"}}, 0, false},
			{"Versions", "Two for long: a rollout did not end.", "none", Lines, []Query{{"count by (version) (" + of("zonecast_build_info") + ")", "{{version}}"}}, 0, false},
			{"Draining", "Clients that are still on an instance that leaves: 0 before DRAIN_TIMEOUT is over, or they are cut.", "short", Lines, []Query{
				{sum("instance", of("zonecast_connections")) + " * on (instance) " + of("zonecast_draining"), "{{instance}} left to move"}}, 0, false},
			{"Asked to reconnect", "Goes on for long: the balancer sends clients back to where they came from.", "ops", Lines, []Query{{rate("instance", "zonecast_rebalanced_total"), "{{instance}}"}}, 0, false},
		}},
		{"Redis", []Panel{
			{"Broker up", "0: /readyz of the instance says why.", "none", Lines, []Query{{of("zonecast_broker_up"), "{{instance}}"}, {of("zonecast_publishing_suspended"), "{{instance}} publishing suspended"}}, 0, false},
			{"Round trip", "Above some ms: Redis's CPU, a slow script of somebody, its disk, the network.", "s", Lines, quantiles("zonecast_redis_round_trip_seconds", ""), 0, false},
			{"Failures", "probes: Redis does not answer. reconnects: pub/sub breaks. bus: something else writes there.", "ops", Lines, []Query{
				{rate("", "zonecast_redis_probe_failures_total"), "probes"}, {rate("", "zonecast_broker_reconnects_total"), "reconnects"},
				{rate("kind, reason", "zonecast_bus_refused_total"), "bus: {{kind}} {{reason}}"}}, 0, false},
			{"Clock offset", "Above half a second: start NTP.", "s", Lines, []Query{{of("zonecast_clock_offset_seconds"), "{{instance}}"}}, 0, false},
		}},
	}}
}

func warehouse() Board {
	w := `warehouse=~"$warehouse"`
	return Board{UID: "zonecast-warehouse", Title: "Zonecast: warehouse", Description: "One warehouse and its zones: choose it at the top.",
		Variables: []Variable{{"warehouse", "Warehouse", "label_values(zonecast_warehouse_connections, warehouse)"},
			{"zone", "Zone", `label_values(zonecast_zone_connections{warehouse=~"$warehouse"}, zone)`}},
		Rows: []Row{{"Who listens, who speaks", []Panel{
			{"Connections", "Falls to nothing: the network of the site.", "short", Lines, []Query{{sum("warehouse", of("zonecast_warehouse_connections", w)), "{{warehouse}}"}}, 0, false},
			{"Connections by zone", "A zone without any: its screens are dark.", "short", Lines, []Query{{sum("warehouse, zone", of("zonecast_zone_connections", w, `zone=~"$zone"`)), "{{warehouse}} {{zone}}"}}, 0, false},
			{"Published", "Silent although it usually speaks: ask who owns the publisher.", "mps", Lines, []Query{{rate("warehouse", "zonecast_warehouse_publishes_total", w), "{{warehouse}}"}}, 0, false},
		}}, {"Quotas", []Panel{
			{"Used of the quota", "Above 90 %: delete what is not needed, or raise it; at 100 % publishers get 507.", "percentunit", Lines, []Query{
				{"max by (warehouse, quota) (" + of("zonecast_warehouse_usage", w) + ") / on (quota) group_left () max by (quota) (" + of("zonecast_quota_limit") + ")", "{{warehouse}} {{quota}}"}}, 0, false},
			{"Kept", "Grows without end: rooms that nobody deletes.", "short", Lines, []Query{{"max by (warehouse, quota) (" + of("zonecast_warehouse_usage", w) + ")", "{{warehouse}} {{quota}}"}}, 0, false},
		}}}}
}

func runtime() Board {
	job := `job="zonecast"`
	return Board{UID: "zonecast-runtime", Title: "Zonecast: runtime and headroom", Description: "How much room is left.", Rows: []Row{
		{"Process", []Panel{
			{"CPU", "Close to the cores that there are: add an instance.", "short", Lines, []Query{{"rate(" + of("process_cpu_seconds_total", job) + "[$__rate_interval])", "{{instance}}"}}, 0, false},
			{"Memory", "Close to GOMEMLIMIT: the collector takes CPU. Grows without connections: a leak; /debug/pprof/heap.", "bytes", Lines, []Query{
				{of("process_resident_memory_bytes", job), "{{instance}}"}}, 0, false},
			{"Goroutines", "More than a few for each connection: /debug/pprof/goroutine.", "short", Lines, []Query{{of("go_goroutines", job), "{{instance}}"}}, 0, false},
			{"Descriptors", "Above 85 %: raise ulimit -n, or add an instance.", "percentunit", Lines, []Query{{of("process_open_fds", job) + " / " + of("process_max_fds", job), "{{instance}}"}}, 0, false},
		}},
		{"What it holds", []Panel{
			{"Rooms", "Grows with clients, not with time.", "short", Lines, []Query{{of("zonecast_rooms"), "{{instance}}"}}, 0, false},
			{"Revocations", "Grows without end: they have no expiry.", "short", Lines, []Query{{"max(" + of("zonecast_revocations") + ")", "in force"}}, 0, false},
			{"Audit log", "failures: operators can change nothing while the file can't be written.", "ops", Lines, []Query{
				{rate("action, result", "zonecast_audit_entries_total"), "{{action}} {{result}}"}, {rate("sink", "zonecast_audit_failures_total"), "failure: {{sink}}"}}, 0, false},
			{"Certificate expires", "In less than a week: renew it.", "dateTimeAsIso", Lines, []Query{{"1000 * " + of("zonecast_tls_certificate_expiry_timestamp_seconds"), "{{instance}}"}}, 0, false},
		}},
	}}
}

func publishing() Board {
	return Board{UID: "zonecast-publishing", Title: "Zonecast: publishing", Description: "What services publish, and what they are refused.", Rows: []Row{
		{"Publications", []Panel{
			{"By result", "unavailable or internal: act. Others are the publisher's: docs/publishing.md.", "ops", Lines, []Query{{rate("via, result", "zonecast_publishes_total"), "{{via}} {{result}}"}}, 0, false},
			{"Duration", "High: Redis waits for its disk, or members of the room are behind (waits).", "s", Lines, quantiles("zonecast_publish_duration_seconds", ""), 0, false},
			{"Durable waits", "Anything but confirmed: replicas or the disk of Redis are late; publishers are told.", "ops", Lines, []Query{{rate("result", "zonecast_durable_wait_seconds_count"), "{{result}}"}}, 0, false},
			{"Waits", "Publishers wait for members that are behind: see Delivery, slow clients.", "ops", Lines, []Query{{rate("", "zonecast_publish_waits_total"), "waits"}}, 0, false},
			{"Refused by quota", "A warehouse is at its quota: see Warehouse.", "ops", Lines, []Query{{rate("quota", "zonecast_quota_refusals_total"), "{{quota}}"},
				{rate("limit", "zonecast_room_refusals_total"), "rooms of clients: {{limit}}"}}, 0, false},
			{"Unreadable", "No wall screen can show these: /screen/ lists their rooms, the publisher's log their fields.", "ops", Lines, []Query{
				{rate("event", "zonecast_unreadable_events_total"), "{{event}}"}}, 0, false},
		}},
		{"HTTP", []Panel{
			{"Requests", "5xx: the log at error. 401, 403: keys.", "reqps", Lines, []Query{{rate("route, code", "zonecast_http_requests_total"), "{{route}} {{code}}"}}, 0, false},
			{"Duration by route, p99", "One route that is slow: its log lines.", "s", Lines, []Query{
				{`histogram_quantile(0.99, sum by (route, le) (rate(` + of("zonecast_http_request_duration_seconds_bucket") + `[$__rate_interval])))`, "{{route}}"}}, 0, false},
		}},
	}}
}
