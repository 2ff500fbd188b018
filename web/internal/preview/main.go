// Preview serves the dashboard and the frames of the wall screens with invented figures, to look at
// while working on them: go run ./internal/preview -state busy. There is no server behind it, so a
// wall screen says that it has lost it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/zonecast/zonecast/web/assets"
	"github.com/zonecast/zonecast/web/dashboard"
	"github.com/zonecast/zonecast/web/screen"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:3002", "address to listen on")
	state := flag.String("state", "busy", "busy, empty, or partial (an instance is silent, one has lost its broker)")
	flag.Parse()
	if err := serve(*listen, *state); err != nil {
		slog.Error("preview failed", "error", err)
		os.Exit(1)
	}
}

func serve(listen, state string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	source := invented{state: state, began: time.Now().Add(-73 * time.Hour)}
	d := dashboard.New(dashboard.Options{Source: source.snapshot, Log: slog.Default()})
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })

	mux := http.NewServeMux()
	mux.Handle(dashboard.Prefix, d)
	mux.Handle(assets.Prefix, assets.Handler())
	mux.Handle(screen.Prefix, screen.New(screen.Options{Log: slog.Default(), Zones: source.zones}))
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	slog.Info("preview", "url", "http://"+l.Addr().String()+dashboard.Prefix)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	server.RegisterOnShutdown(d.Close)
	go func() {
		<-ctx.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	running.Wait()
	return nil
}

// invented is a cluster that does not exist.
type invented struct {
	state string
	began time.Time
}

func (i invented) snapshot() dashboard.Snapshot {
	now := time.Now()
	s := dashboard.Snapshot{Broker: "redis"}
	for n, name := range []string{"zonecast-7d9f-2kq8x", "zonecast-7d9f-9wz4m", "zonecast-7d9f-hh5tr"} {
		s.Instances = append(s.Instances, i.instance(n, name, now))
	}
	if i.state == "empty" {
		s.Instances, s.Broker = s.Instances[:1], "memory"
		return s
	}
	if i.state == "partial" {
		s.Instances[1].Broker = dashboard.BrokerLink{DownSince: now.Add(-47 * time.Second), Detail: "i/o timeout"}
		s.Instances[1].State = dashboard.NotReady
		s.Instances, s.Missing = s.Instances[:2], []string{s.Instances[2].Name}
	}
	for w := range 8 {
		house := dashboard.Warehouse{Name: fmt.Sprintf("warehouse-%d", w+1)}
		for z := range 30 - 2*w {
			zone := dashboard.Zone{
				Warehouse:   house.Name,
				Name:        fmt.Sprintf("zone-%c%d", 'a'+z%6, z/6+1),
				Connections: max(1, int(90*math.Exp(-float64(z)/9)*(1.5-float64(w)/8)+3*wave(now, 11, w*31+z))),
			}
			house.Connections += zone.Connections
			s.Connections += zone.Connections
			s.Zones = append(s.Zones, zone)
		}
		s.Warehouses = append(s.Warehouses, house)
	}
	for n := range s.Instances {
		s.Instances[n].Connections = s.Connections/len(s.Instances) + 17*n - 17*(len(s.Instances)-1)/2
	}
	return s
}

// wave is a slow up and down between -1 and 1.
func wave(t time.Time, period float64, phase int) float64 {
	return math.Sin(float64(t.UnixMilli())/1000/period + float64(phase))
}

func (i invented) instance(n int, name string, now time.Time) dashboard.Instance {
	inst := dashboard.Instance{
		Name: name, Version: "0.1.0", UpSince: i.began, Broker: dashboard.BrokerLink{Up: true},
	}
	if i.state == "empty" {
		return inst
	}
	seconds := now.Sub(i.began).Seconds()
	inst.QueueBytes = int64(40_000 + 30_000*wave(now, 5, n))
	// The integral of a rate that swings by a third within a minute and a half.
	published := 140*seconds - 140./3*15*math.Cos(seconds/15) + 12*math.Sin(seconds*2.1)
	inst.Published = uint64(published)
	inst.Delivered = uint64(published * 61)
	inst.Latency = histogram(inst.Delivered)
	return inst
}

func histogram(total uint64) dashboard.Histogram {
	h := dashboard.Histogram{Count: total}
	for _, b := range []struct{ bound, share float64 }{
		{0.0005, 0.22}, {0.001, 0.61}, {0.0025, 0.93}, {0.005, 0.988}, {0.01, 0.997}, {0.025, 0.9996}, {0.1, 1},
	} {
		h.Bounds, h.Counts = append(h.Bounds, b.bound), append(h.Counts, uint64(float64(total)*b.share))
	}
	return h
}

func (i invented) zones(*http.Request) (zones []screen.Zone, complete bool) {
	s := i.snapshot()
	for _, z := range s.Zones {
		zones = append(zones, screen.Zone{Warehouse: z.Warehouse, Name: z.Name, Connections: z.Connections, Published: true})
	}
	return zones, len(s.Missing) == 0
}
