//go:build linux

package server

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The names of the peers, in the table's order.
const (
	Zonecast   = "zonecast"
	Baseline   = "baseline" // another build of Zonecast, such as the one before a change
	Centrifuge = "centrifuge"
	SocketIO   = "socketio"
	Write2     = "write2"
)

// Names returns the names of all peers, in the table's order.
func Names() []string { return []string{Zonecast, Baseline, Centrifuge, SocketIO, Write2} }

// A Peer is a server that can be started.
type Peer struct {
	Name           string // one of Names
	Title, Version string // what it is
	Dialect        string // the name of its protocol

	command func(ctx context.Context, deflate bool) *exec.Cmd
}

// Start runs the server, without settings of this process's environment.
func (p *Peer) Start(ctx context.Context, deflate bool) (*Process, error) {
	command := p.command(ctx, deflate)
	command.Env = append(command.Env, "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"))
	process, err := start(ctx, command)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	return process, nil
}

// A Kit is where the peers come from.
type Kit struct {
	Zonecast, Baseline string // the paths of the two builds
	Module             string // the folder of this module's source
	Output             string // where programs are built
}

// Peer makes a peer ready to start: it builds what must be built.
func (k Kit) Peer(ctx context.Context, name string) (*Peer, error) {
	var p *Peer
	var err error
	switch name {
	case Zonecast:
		p, err = zonecast(ctx, name, "Zonecast", k.Zonecast)
	case Baseline:
		p, err = zonecast(ctx, name, "baseline", k.Baseline)
	case Centrifuge:
		p, err = k.centrifuge(ctx)
	case SocketIO:
		p, err = k.socketio()
	case Write2:
		p, err = k.write2(ctx)
	default:
		err = fmt.Errorf("it is none of %v", Names())
	}
	if err != nil {
		return nil, fmt.Errorf("peer %s: %w", name, err)
	}
	return p, nil
}

// zonecast runs with its defaults but for the limits that one address would meet.
func zonecast(ctx context.Context, name, title, path string) (*Peer, error) {
	program, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	version, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w: build it first", path, err)
	}
	return &Peer{
		Name: name, Title: title, Dialect: "zonecast",
		Version: strings.TrimPrefix(string(bytes.TrimSpace(version)), "zonecast "),
		command: func(ctx context.Context, _ bool) *exec.Cmd {
			c := exec.CommandContext(ctx, program)
			c.Env = []string{"LISTEN=127.0.0.1:0", "RATE_LIMIT_TOKENS=0", "MAX_CONNECTIONS=19500", "LOG_LEVEL=warn"}
			return c
		},
	}, nil
}

func (k Kit) centrifuge(ctx context.Context) (*Peer, error) {
	program, err := k.build(ctx, "centrifuge")
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	p := &Peer{Name: Centrifuge, Title: "Centrifuge", Dialect: "centrifugo", command: withDeflate(program)}
	for _, m := range info.Deps {
		if m.Path == "github.com/centrifugal/centrifuge" {
			p.Version = m.Version
		}
	}
	return p, nil
}

func (k Kit) socketio() (*Peer, error) {
	folder := filepath.Join(k.Module, "socketio")
	text, err := os.ReadFile(filepath.Join(folder, "node_modules", "socket.io", "package.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: run npm ci in %s", err, folder)
	}
	if err != nil {
		return nil, err
	}
	var about struct{ Version string }
	if err := json.Unmarshal(text, &about); err != nil {
		return nil, err
	}
	return &Peer{
		Name: SocketIO, Title: "Socket.IO", Version: about.Version, Dialect: "socketio",
		command: withDeflate("node", filepath.Join(folder, "server.js")),
	}, nil
}

func (k Kit) write2(ctx context.Context) (*Peer, error) {
	program, err := k.build(ctx, "write2")
	if err != nil {
		return nil, err
	}
	return &Peer{
		Name: Write2, Title: "write(2)", Version: "a bare loop", Dialect: "zonecast",
		command: func(ctx context.Context, _ bool) *exec.Cmd { return exec.CommandContext(ctx, program) },
	}, nil
}

func withDeflate(program string, args ...string) func(context.Context, bool) *exec.Cmd {
	return func(ctx context.Context, deflate bool) *exec.Cmd {
		c := exec.CommandContext(ctx, program, args...)
		if deflate {
			c.Args = append(c.Args, "--deflate")
		}
		return c
	}
}

// build builds a program of this module, outside the workspace, which this module is no part of.
func (k Kit) build(ctx context.Context, name string) (string, error) {
	program := filepath.Join(k.Output, name)
	c := exec.CommandContext(ctx, "go", "build", "-o", program, "./"+name)
	c.Dir = k.Module
	c.Env = append(os.Environ(), "GOWORK=off")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return program, nil
}
