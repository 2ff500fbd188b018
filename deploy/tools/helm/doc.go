// Package helm holds the tests of the chart: a module of its own, so that the server's stays small.
//
//	deploy/kubernetes/zonecast ── Helm's schema, lint, templates ──▶ manifests ──┬─ types of Kubernetes, strictly
//	                                                                             ├─ ports, paths, names that exist
//	                                                                             └─ zonecast check
//
// go test . -update writes the names of all settings into the chart's schema.
package helm
