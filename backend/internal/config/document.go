package config

import (
	"bytes"
	"fmt"
	"slices"
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
written like ` + "`500ms`, `30s`, `10m`" + `. All mistakes are reported at start-up, and the exit code is 2 then. Secrets can also be
read from files, as Docker and Kubernetes mount them: ` + "`NAME_FILE`" + ` holds the path, a line end at the file's end does not
count, and lists may have a line for each item. ` + "`zonecast check`" + ` reads all of it and says who may do what. (This page is
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
		names := f.Envs
		if file := secretFile(f, p.Model.Flags); file != "" {
			names = append(slices.Clip(names), file)
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s |\n", strings.Join(names, "`, `"), f.Name, value, f.Help)
	}
	return b.Bytes(), nil
}
