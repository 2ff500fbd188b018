package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary plays other roles by this variable, so that the tests need no built zonecast.
const roleVariable = "ZONECAST_STACK_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "instance":
		os.Exit(playInstance())
	case "broken":
		fmt.Fprintln(os.Stderr, "REDIS_URL: no such host")
		os.Exit(2)
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		os.Exit(playInstance())
	case "parent":
		os.Exit(playParent())
	default:
		fmt.Fprintf(os.Stderr, "%s: no role %q\n", roleVariable, role)
		os.Exit(2)
	}
}

// playInstance answers as much of a zonecast instance's addresses as a stack looks at. It leaves
// with 0 on SIGTERM.
func playInstance() int {
	mux := http.NewServeMux()
	for _, path := range []string{"/livez", "/readyz"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, os.Getenv("NODE_NAME"))
		})
	}
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "zonecast_connections 0")
	})
	mux.HandleFunc("GET /settings", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Join(os.Environ(), "\n"))
	})
	server := &http.Server{Addr: os.Getenv("LISTEN"), Handler: mux}
	if !signal.Ignored(syscall.SIGTERM) {
		asked, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		context.AfterFunc(asked, func() { _ = server.Close() })
	}
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// playParent starts a stack, prints its addresses on a line and waits to be killed.
func playParent() int {
	s, err := Start(context.Background(), played("instance", Full(repository, os.Args[0])))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(strings.Join(append(s.backends(), s.Redis.Address, s.Nginx.Address, s.Prometheus.Address), " "))
	time.Sleep(time.Minute)
	return 1
}

// repository is the top folder, seen from this package.
const repository = "../../.."

// played lets this test binary be the instances.
func played(role string, options Options) Options {
	options.Binary = os.Args[0]
	// Without the second that the race detector otherwise waits at every exit.
	options.Settings = map[string]string{roleVariable: role, "GORACE": "atexit_sleep_ms=0"}
	return options
}
