//go:build linux

package scenario

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/internal/report"
)

// readTimeout is how long an instance may take to answer, with at most maxMetrics bytes read.
const (
	readTimeout = 3 * time.Second
	maxMetrics  = 4 << 20
)

// servers are the instances whose memory and CPU can be read.
type servers struct {
	all  []*server
	stop func() // nil before start
}

// A reading is what one instance says of itself.
type reading struct {
	memory uint64  // resident, in bytes
	cpu    float64 // seconds
	opened uint64  // connections in its life; 0 when it does not tell
}

type server struct {
	read func(ctx context.Context) (reading, error)

	mu        sync.Mutex
	report    report.Server
	cpuBefore float64
}

// findServers finds the instances that may be read: by their processes, or at /metrics.
func (r *Run) findServers(ctx context.Context) *servers {
	s := &servers{}
	if len(r.plan.ServerPIDs) > 0 {
		for _, pid := range r.plan.ServerPIDs {
			s.add(ctx, fmt.Sprintf("process %d", pid), func(context.Context) (reading, error) { return fromProc(pid) })
		}
		return s
	}
	seen, through := map[string]bool{}, &http.Client{Transport: r.metricsTransport()}
	for _, text := range r.plan.WSURLs {
		u, err := url.Parse(text)
		if err != nil || seen[u.Host] {
			continue
		}
		seen[u.Host] = true
		base := "http" + strings.TrimPrefix(strings.TrimPrefix(u.Scheme, "ws"), "http") + "://" + u.Host
		s.add(ctx, u.Host, func(ctx context.Context) (reading, error) { return fromMetrics(ctx, through, base+"/metrics") })
	}
	return s
}

func (s *servers) add(ctx context.Context, name string, read func(context.Context) (reading, error)) {
	now, err := read(ctx)
	if err != nil || now.memory == 0 {
		return
	}
	s.all = append(s.all, &server{read: read, report: report.Server{
		Name: name, MemoryBefore: now.memory, MemoryPeak: now.memory, OpenedBefore: now.opened,
	}})
}

// start reads the servers, with all connected and nothing sent, and watches them from then on.
func (s *servers) start(ctx context.Context) {
	ctx = context.WithoutCancel(ctx) // a run that was interrupted has figures, too
	for _, one := range s.all {
		one.sample(ctx, func(now reading) { one.report.MemoryIdle, one.cpuBefore = now.memory, now.cpu })
	}
	s.stop = every(2*time.Second, func(time.Time) { s.sample(ctx) })
}

// finish reads the servers when everything is over.
func (s *servers) finish(ctx context.Context) {
	if s.stop == nil {
		return
	}
	s.stop()
	s.sample(ctx) // of a server that has ended, the last look counts
}

func (s *servers) sample(ctx context.Context) {
	for _, one := range s.all {
		one.sample(ctx, one.recordCPU)
	}
}

// recordCPU notes what the server has computed since the first message.
func (s *server) recordCPU(now reading) { s.report.CPUSeconds = max(0, now.cpu-s.cpuBefore) }

func (s *server) sample(ctx context.Context, note func(reading)) {
	now, err := s.read(ctx)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.MemoryPeak = max(s.report.MemoryPeak, now.memory)
	note(now)
}

func (s *servers) reports() []report.Server {
	out := []report.Server{}
	for _, one := range s.all {
		out = append(out, one.report)
	}
	return out
}

// fromProc reads a process of this machine.
func fromProc(pid int) (reading, error) {
	resident, err := machine.Resident(pid)
	if err != nil {
		return reading{}, err
	}
	used, err := machine.CPU(pid)
	return reading{memory: uint64(resident), cpu: used.Seconds()}, err
}

// A headerTransport adds the plan's headers.
type headerTransport struct {
	http.RoundTripper
	header http.Header
}

// RoundTrip implements [http.RoundTripper].
func (t *headerTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	maps.Copy(request.Header, t.header)
	return t.RoundTripper.RoundTrip(request)
}

// metricsTransport reaches servers as members do.
func (r *Run) metricsTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: client.Roots(r.plan.CA)}
	header, _ := textproto.NewReader(bufio.NewReader(strings.NewReader(r.plan.Header + "\r\n"))).ReadMIMEHeader() // as settings wrote them
	return &headerTransport{t, http.Header(header)}
}

// fromMetrics reads what Prometheus' clients tell of a process, and Zonecast of its connections.
func fromMetrics(ctx context.Context, through *http.Client, address string) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return reading{}, err
	}
	resp, err := through.Do(req)
	if err != nil {
		return reading{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return reading{}, fmt.Errorf("%s answered %s", address, resp.Status)
	}
	return parseMetrics(io.LimitReader(resp.Body, maxMetrics))
}

func parseMetrics(r io.Reader) (now reading, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), " ")
		name, _, _ := strings.Cut(series, "{")
		switch name {
		case "process_resident_memory_bytes", "process_cpu_seconds_total", "zonecast_connections_opened_total":
		default:
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || !(n >= 0) {
			return reading{}, fmt.Errorf("%s is %q", series, value)
		}
		switch name {
		case "process_resident_memory_bytes":
			now.memory = uint64(n)
		case "process_cpu_seconds_total":
			now.cpu = n
		default:
			now.opened += uint64(n) // over each transport
		}
	}
	return now, lines.Err()
}
