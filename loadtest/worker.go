//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/zonecast/zonecast/loadtest/internal/handshake"
	"github.com/zonecast/zonecast/loadtest/internal/workers"
)

// runWorker is the program as a worker, for a parent process or for load testers on other machines.
func runWorker(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("loadtest worker", flag.ContinueOnError)
	flags.SetOutput(stderr)
	stdio := flags.Bool("stdio", false, "take orders from standard input, as the load tester's own processes do")
	listen := flags.String("listen", "", "take orders at this `HOST:PORT`, from those who have the key")
	secret := flags.String("worker-key", "", "the secret of this worker and the load testers that it works for, or @`FILE`: better in the environment (WORKER_KEY) or a file, for others on this machine can read arguments; needed unless HOST is this machine's own 127.0.0.0/8 or ::1")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitGood
	case err != nil:
		return exitUsage
	case *stdio == (*listen != "") || flags.NArg() > 0:
		fmt.Fprintln(stderr, "loadtest worker: give --listen HOST:PORT")
		return exitUsage
	}
	if *stdio {
		return exitAfter(ctx, workers.Serve(context.WithoutCancel(ctx), os.Stdin, os.Stdout), stderr) // the coordinator says when it is over
	}
	if *secret == "" {
		*secret = os.Getenv("WORKER_KEY")
	}
	address, key, err := listenAddress(*listen, *secret)
	if err != nil {
		fmt.Fprintln(stderr, "loadtest worker:", err)
		return exitUsage
	}
	return exitAfter(ctx, serve(ctx, address, key, stderr), stderr)
}

// exitAfter reports err, unless the program was asked to end.
func exitAfter(ctx context.Context, err error, stderr io.Writer) int {
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, "loadtest worker:", err)
		return exitFailed
	}
	return exitGood
}

// listenAddress checks where a worker listens: who commands it can make it connect anywhere.
func listenAddress(listen, secret string) (*net.TCPAddr, handshake.Key, error) {
	key, err := handshake.ReadKey(secret)
	if err != nil {
		return nil, key, fmt.Errorf("--worker-key (WORKER_KEY): %w", err)
	}
	address, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return nil, key, fmt.Errorf("--listen %q: %w: write it like 10.0.0.2:7070", listen, err)
	}
	if !address.IP.IsLoopback() && !key.Set() {
		return nil, key, fmt.Errorf("--listen %s can be reached from other machines, and whoever reaches it could make this one connect anywhere: "+
			"set WORKER_KEY (--worker-key) to the same secret here and for the load tester, like that of: openssl rand -hex 32", listen)
	}
	return address, key, nil
}

// serve works for one coordinator after the other until ctx ends.
func serve(ctx context.Context, address *net.TCPAddr, key handshake.Key, stderr io.Writer) error {
	listener, err := net.ListenTCP("tcp", address)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	fmt.Fprintf(stderr, "loadtest worker: waiting for work at %s\n", listener.Addr())
	l := workers.Listener{Key: key, Log: stderr}
	return l.Serve(ctx, listener)
}
