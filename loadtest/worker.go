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

	"github.com/zonecast/zonecast/loadtest/internal/crew"
)

// work is the program as a worker: for the process that started it, or for one on another machine that connects.
func work(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("loadtest worker", flag.ContinueOnError)
	flags.SetOutput(stderr)
	stdio := flags.Bool("stdio", false, "take orders from standard input, as the load tester's own processes do")
	listen := flags.String("listen", "", "take orders at this `HOST:PORT`: whoever reaches it can make this machine connect anywhere, so keep it in a network that you trust")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitGood
	case err != nil:
		return exitUsage
	case *stdio == (*listen != "") || flags.NArg() > 0:
		fmt.Fprintln(stderr, "loadtest worker: give --listen HOST:PORT")
		return exitUsage
	}
	var err error
	if *stdio {
		err = crew.Serve(context.WithoutCancel(ctx), os.Stdin, os.Stdout) // the coordinator says when it is over
	} else {
		err = serve(ctx, *listen, stderr)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, "loadtest worker:", err)
		return exitFailed
	}
	return exitGood
}

// serve works for one coordinator after the other until ctx ends.
func serve(ctx context.Context, address string, stderr io.Writer) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	fmt.Fprintf(stderr, "loadtest worker: waiting for work at %s\n", listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintf(stderr, "loadtest worker: working for %s\n", conn.RemoteAddr())
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		if err := crew.Serve(ctx, conn, conn); err != nil {
			fmt.Fprintln(stderr, "loadtest worker:", err)
		}
		stop()
		_ = conn.Close()
	}
}
