package testkit

import (
	"fmt"
	"os"
	"testing"
)

// go test shows nothing of packages that pass when it tests several, so what this machine lacks
// goes to the terminal, if there is one.
func TestTheTerminalIsToldWhatIsLeftOut(t *testing.T) {
	programs := []string{"redis-server", "nginx", "prometheus", "promtool", "gcc"}
	if missing := lacking(programs...); missing != "" && os.Getenv(RequireAll) == "" {
		if terminal, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
			fmt.Fprintf(terminal, "tests that need a program were left out: %s\n", missing)
			terminal.Close()
		}
	}
	NeedProgram(t, programs...)
}
