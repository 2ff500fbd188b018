package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/zonecast/zonecast/backend/internal/operator"
)

// accountCommand makes lines of the password file, so that nobody needs htpasswd.
type accountCommand struct {
	Name string `arg:"" help:"Who signs in with it."`
	Role string `default:"viewer" help:"viewer, operator or admin; with @ and names in these warehouses alone: operator@warehouse-1,warehouse-2."`
}

// Run is called by kong.
func (c *accountCommand) Run(stdout io.Writer, stderr stderrWriter) error {
	password, err := readPassword(os.Stdin, stderr)
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	line, err := operator.NewLine(c.Name, c.Role, password)
	if err != nil {
		return &startError{err}
	}
	_, err = fmt.Fprintln(stdout, line)
	return err
}

// readPassword reads one line; from a terminal without showing it.
func readPassword(in *os.File, prompt io.Writer) (string, error) {
	if fd := int(in.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(prompt, "password: ")
		p, err := term.ReadPassword(fd)
		fmt.Fprintln(prompt)
		return string(p), err
	}
	p, err := io.ReadAll(io.LimitReader(in, 4096))
	return strings.TrimRight(string(p), "\r\n"), err
}
