// Command zonecast is the server: without arguments it listens on 127.0.0.1:3001 with everything embedded.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/zonecast/zonecast/backend/internal/config"
)

// version is set by the build.
var version = "dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "health" {
		os.Exit(health(os.Args[2:]))
	}
	c, err := config.Parse(os.Args[1:])
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			fmt.Fprintln(os.Stderr, "zonecast:", line)
		}
		os.Exit(2)
	}
	s, err := newServer(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "zonecast:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "zonecast:", err)
		os.Exit(1)
	}
}

// health asks an instance whether it is ready: for images that have no other program to ask with.
func health(args []string) int {
	url := "http://127.0.0.1:3001/readyz"
	if len(args) == 2 && args[0] == "--url" {
		url = args[1]
	}
	client := http.Client{Timeout: 3 * time.Second}
	r, err := client.Get(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, "zonecast:", err)
		return 1
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}
