package operator

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// maxCost is the most bcrypt cost of a password file: one more doubles the time of each login.
const maxCost = 14

// An Account is an operator of the password file.
type Account struct {
	Hash string // bcrypt
	Grant
}

// NewLine returns the line of a password file for an operator. The error says what is wrong with
// the name, the role (see [ParseGrant]) or the password, which it never shows.
func NewLine(name, role, password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if n := len(password); n < MinPasswordBytes || err != nil {
		return "", fmt.Errorf("the password has %d bytes: bcrypt takes at most 72, and at least %d are needed", n, MinPasswordBytes)
	}
	line := name + ":" + string(hash) + ":" + role
	if name != strings.TrimSpace(name) || strings.HasPrefix(name, "#") {
		return "", fmt.Errorf("%.64q can't be a name: it begins with # or has a space at an end", name)
	}
	_, err = parse(line)
	return line, err
}

// ReadFile reads a password file: a line is name:bcrypt hash:role, the role as [ParseGrant] reads
// it; empty lines and those that begin with # count for nothing. [NewLine] writes one. The error
// names all mistakes, never a hash.
func ReadFile(name string) (map[string]Account, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("OPERATORS_FILE: %w", err)
	}
	accounts, err := parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("OPERATORS_FILE %s: %w", name, err)
	}
	return accounts, nil
}

func parse(text string) (map[string]Account, error) {
	accounts := map[string]Account{}
	var all []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		bad := func(format string, args ...any) {
			all = append(all, fmt.Errorf("line %d "+format, append([]any{number}, args...)...))
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, ":")
		if len(fields) != 3 || fields[0] == "" {
			bad("is not name:bcrypt hash:role")
			continue
		}
		grant, wrong := ParseGrant(fields[2])
		cost, err := bcrypt.Cost([]byte(fields[1]))
		_, twice := accounts[fields[0]]
		switch {
		case wrong != nil:
			bad("has %w", wrong)
		case err != nil:
			bad("has no bcrypt hash: make the line with zonecast account %.64s", fields[0])
		case cost < bcrypt.DefaultCost || cost > maxCost:
			bad("has a hash of cost %d: make one of %d to %d", cost, bcrypt.DefaultCost, maxCost)
		case twice:
			bad("names %.64s again", fields[0])
		}
		accounts[fields[0]] = Account{Hash: fields[1], Grant: grant}
	}
	if len(accounts) == 0 && len(all) == 0 {
		all = append(all, errors.New("names no operator"))
	}
	return accounts, errors.Join(all...)
}

// lookAgain is how long after a look at the file it is not looked at again.
const lookAgain = time.Second

// A file is a password file that is read again when it has changed.
type file struct {
	name string
	log  *slog.Logger

	mu       sync.Mutex
	looked   time.Time
	modified time.Time
	size     int64
	told     string // the error that was logged last
	current  map[string]Account
}

func newFile(name string, accounts map[string]Account, log *slog.Logger) *file {
	return &file{name: name, log: log, current: accounts}
}

// accounts returns those of the file as it is; while it can't be read, those that it had.
func (f *file) accounts() map[string]Account {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookAgain {
		return f.current
	}
	f.looked = time.Now()
	info, err := os.Stat(f.name)
	if err == nil && info.ModTime().Equal(f.modified) && info.Size() == f.size {
		return f.current
	}
	var read map[string]Account
	if err == nil {
		read, err = ReadFile(f.name)
	}
	if err != nil {
		if told := err.Error(); told != f.told { // it is tried again each second
			f.told = told
			f.log.Error("operators not read again: those read before stay", "error", err)
		}
		return f.current
	}
	f.current, f.modified, f.size, f.told = read, info.ModTime(), info.Size(), ""
	return f.current
}
