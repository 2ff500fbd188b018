package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// typed calls the tool with this on its standard input.
func typed(t *testing.T, input string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	in, err := os.CreateTemp(t.TempDir(), "stdin")
	testkit.Must(t, err)
	defer in.Close()
	_, err = in.WriteString(input)
	testkit.Must(t, err)
	_, err = in.Seek(0, 0)
	testkit.Must(t, err)
	before := os.Stdin
	os.Stdin = in
	defer func() { os.Stdin = before }()
	return tool(args...)
}

func TestAccountsOfOperatorsAreMade(t *testing.T) {
	const password = "correct horse"
	code, line, complaint := typed(t, password+"\n", "account", "ann", "--role=operator@w1")
	if code != 0 || strings.Contains(line, password) {
		t.Fatalf("%d %s, %s", code, line, complaint)
	}
	file := filepath.Join(t.TempDir(), "operators")
	testkit.Must(t, os.WriteFile(file, []byte(line), 0o600))
	s := serving(t, "--operators-file="+file)
	who, err := s.operators.Login(httptest.NewRequest("POST", "/ui/login", nil), "192.0.2.1", "ann", password)
	if err != nil || len(who.Grants) != 1 || who.Grants[0].String() != "operator@w1" {
		t.Errorf("ann is %v, %v", who, err)
	}
	for _, tt := range []struct {
		name, input string
		args        []string
		want        string
	}{
		{"no password", "", []string{"ann"}, "the password has 0 bytes"},
		{"a short password", "1234567\n", []string{"ann"}, "the password has 7 bytes"},
		{"a long password", strings.Repeat("x", 73), []string{"ann"}, "the password has 73 bytes"},
		{"no such role", password, []string{"ann", "--role=boss"}, `the role "boss"`},
		{"a name with a colon", password, []string{"ann:admin"}, "name:bcrypt hash:role"},
		{"a name that would be a comment", password, []string{"#ann"}, "can't be a name"},
		{"two lines", password, []string{"ann\nbob"}, "name:bcrypt hash:role"},
		{"no name", password, nil, "<name>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, line, complaint := typed(t, tt.input, append([]string{"account"}, tt.args...)...)
			if code != 2 || line != "" || !strings.Contains(complaint, tt.want) {
				t.Errorf("%d %q, %q does not mention %q", code, line, complaint, tt.want)
			}
		})
	}
}
