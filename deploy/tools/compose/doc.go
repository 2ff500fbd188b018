// Package compose holds the tests of docker-compose.yml, and pins docker compose for make
// test-compose: a module of its own, so that the server's stays small.
//
//	docker-compose.yml ── compose-go, as docker compose reads it ──▶ project ──▶ what else it names: files, settings,
//	                                                                             ports, paths, programs
package compose
