//go:build linux

// Command peers compares push servers on one machine: it starts one after the other, puts each
// through the same scenarios with the same generator, and prints one table.
//
//	server.Kit ──▶ Peer ──▶ Scenario.Run ──▶ Outcome ──▶ table.Result (Markdown, and JSON in --out)
//
// It runs in this module's folder, to build the peers. Needs Linux, for epoll and /proc.
//
// Exit codes: 0 good; 1 a peer failed in a scenario, or the run was ended; 2 bad settings; 99 with
// --check, when Zonecast missed one of its targets, or there is no good figure for it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/peers/internal/scenario"
	"github.com/zonecast/zonecast/loadtest/peers/internal/server"
	"github.com/zonecast/zonecast/loadtest/peers/internal/table"
)

const (
	exitGood   = 0
	exitFailed = 1
	exitUsage  = 2
	exitMissed = 99
)

type settings struct {
	Zonecast    string   `default:"../../bin/zonecast" placeholder:"FILE" help:"Zonecast's program."`
	Baseline    string   `placeholder:"FILE" help:"Another build of Zonecast, measured in the same rounds: its ratios are in a column of their own."`
	Out         string   `placeholder:"FILE" help:"Where to write the result as JSON."`
	Only        []string `default:"zonecast,centrifuge,socketio,write2" enum:"zonecast,baseline,centrifuge,socketio,write2" help:"Which servers (${default}; and baseline with --baseline)."`
	Scenarios   []string `placeholder:"NAME,…" help:"Which scenarios: {idle,steady}-{few,many}, steady-{few,many}{-4k,}-deflate, steady-{few,many}-4k, flood, flood-4k. Without this all of them."`
	Connections []int    `default:"1000,10000" placeholder:"FEW,MANY" help:"The two numbers of connections (${default})."`
	Rounds      int      `default:"3" help:"How often the servers take turns in the scenarios whose ratios have a target; the table has the medians (${default})."`
	Check       bool     `help:"Exit with 99 when Zonecast misses one of its targets."`
	Quick       bool     `help:"Try everything, briefly and with 100 and 500 connections. The figures mean nothing."`
}

func main() {
	// The generator stays on one thread; with it the servers die, should this process be killed.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program: everything but the signals and the exit.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	set, err := parse(args, stdout)
	if errors.Is(err, errHelp) {
		return exitGood
	}
	var scenarios []scenario.Scenario
	if err == nil {
		scenarios, err = chosen(set)
	}
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return exitUsage
	}
	result, err := compare(ctx, set, scenarios, stderr)
	if err == nil {
		err = errors.Join(result.WriteMarkdown(stdout), save(set.Out, result))
	}
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return exitFailed
	}
	if slices.ContainsFunc(result.Outcomes, func(o scenario.Outcome) bool { return o.Failure != "" }) {
		return exitFailed
	}
	if set.Check && !result.Met() {
		return exitMissed
	}
	return exitGood
}

var errHelp = errors.New("help was asked for")

func parse(args []string, stdout io.Writer) (set settings, err error) {
	left := false
	parser, err := kong.New(&set, kong.Name("peers"), kong.Writers(stdout, stdout), kong.Exit(func(int) { left = true }),
		kong.Description("Compare push servers on this machine. Run it in its own folder."))
	if err != nil {
		return set, err
	}
	_, err = parser.Parse(args)
	switch {
	case left:
		return set, errHelp
	case err != nil:
		return set, err
	case set.Rounds < 1:
		return set, fmt.Errorf("--rounds is %d: give at least 1", set.Rounds)
	case len(set.Connections) != 2 || min(set.Connections[0], set.Connections[1]) < 1:
		return set, fmt.Errorf("--connections is %v: give two numbers, such as 1000,10000", set.Connections)
	case set.Baseline == "" && slices.Contains(set.Only, server.Baseline):
		return set, errors.New("--only has baseline: give its program with --baseline FILE")
	}
	if set.Baseline != "" {
		set.Only = append(set.Only, server.Baseline)
	}
	if set.Quick {
		set.Connections, set.Rounds = []int{100, 500}, 1
	}
	return set, nil
}

// compare puts each peer through each scenario. Peers take turns within one, there and back, so
// that what is compared is near in time, and a machine that gets slower favours none of them.
func compare(ctx context.Context, set settings, scenarios []scenario.Scenario, progress io.Writer) (*table.Result, error) {
	output, err := os.MkdirTemp("", "zonecast-peers-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(output)
	peers, err := prepare(ctx, set, output)
	if err != nil {
		return nil, err
	}
	result := &table.Result{Started: time.Now(), Quick: set.Quick, Machine: machine.Describe(), Scenarios: scenarios}
	for _, p := range peers {
		result.Peers = append(result.Peers, table.Peer{Name: p.Name, Title: p.Title, Version: p.Version})
	}
	for _, s := range scenarios {
		for round := range s.Rounds {
			for _, p := range peers {
				if !s.Includes(p.Name) {
					continue
				}
				fmt.Fprintf(progress, "%s, %d of %d: %s\n", s.Name, round+1, s.Rounds, p.Title)
				debug.FreeOSMemory() // the last connections are collected now, and not while the next ones are measured
				o, err := s.Run(ctx, p)
				if err != nil {
					return nil, err
				}
				o.Round = round
				result.Outcomes = append(result.Outcomes, o)
			}
			slices.Reverse(peers)
		}
	}
	return result, nil
}

func chosen(set settings) ([]scenario.Scenario, error) {
	all := scenario.All(scenario.Options{Few: set.Connections[0], Many: set.Connections[1], Rounds: set.Rounds, Quick: set.Quick})
	if len(set.Scenarios) == 0 {
		return all, nil
	}
	var picked []scenario.Scenario
	for _, name := range set.Scenarios {
		i := slices.IndexFunc(all, func(s scenario.Scenario) bool { return s.Name == name })
		if i < 0 {
			var names []string
			for _, s := range all {
				names = append(names, s.Name)
			}
			return nil, fmt.Errorf("--scenarios: no scenario %q: there are %s", name, strings.Join(names, ", "))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

func prepare(ctx context.Context, set settings, output string) ([]*server.Peer, error) {
	module, err := filepath.Abs(".")
	if err != nil {
		return nil, err
	}
	kit := server.Kit{Zonecast: set.Zonecast, Baseline: set.Baseline, Module: module, Output: output}
	var peers []*server.Peer
	for _, name := range server.Names() {
		if !slices.Contains(set.Only, name) {
			continue
		}
		p, err := kit.Peer(ctx, name)
		if err != nil {
			return nil, err
		}
		peers = append(peers, p)
	}
	return peers, nil
}

func save(name string, result *table.Result) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("save the result: %w", err)
	}
	return errors.Join(result.WriteJSON(f), f.Close())
}
