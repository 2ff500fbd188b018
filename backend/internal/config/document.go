package config

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// Document returns docs/configuration.md.
func Document() ([]byte, error) {
	p, err := kong.New(new(Config))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(`# Configuration

Every setting is a flag of ` + "`zonecast`" + ` and a variable of the environment; the flag counts when both are set. Durations are
written like ` + "`500ms`, `30s`, `10m`" + `. All mistakes are reported at start-up, and the exit code is 2 then. (This page is
generated: ` + "`cd backend && go test ./internal/config -update`" + `.)

| environment | flag | default | what it is |
|---|---|---|---|
`)
	for _, f := range p.Model.Flags {
		if f.Name == "help" {
			continue
		}
		value := "none"
		if f.HasDefault {
			value = "`" + f.Default + "`"
		} else if f.IsBool() {
			value = "`false`"
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s |\n", strings.Join(f.Envs, "`, `"), f.Name, value, f.Help)
	}
	return b.Bytes(), nil
}
