// Package stack runs Zonecast's deployment natively, without containers: the topology of
// docker-compose.yml on free ports of the loopback interface, with the repository's own
// configuration files.
//
//	client ─▶ nginx ─▶ backend-1 … backend-N ─▶ redis-server
//	             prometheus ─▶ ┘
//
// Tests start what they need of it ([Start]) and break it (Kill, Stop, Restart of one process);
// cmd/stack starts all of it for a person. The instances are the real binary; nginx.conf,
// deploy/redis and deploy/prometheus are the real files, in which only addresses, paths and limits
// are replaced (rewrite.go).
//
// Nothing outlives its stack: each program leads a process group of its own that is killed as a
// whole, and on Linux the kernel ends the programs when the process that started them dies
// (launch_linux.go). Nothing competes for a port: each one is held for the stack's life (port.go),
// so an instance that comes back finds its address free.
package stack
