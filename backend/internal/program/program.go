// Package program finds the servers and tools that the native stack and the tests run.
package program

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// debianPackage says which Debian package brings a program.
var debianPackage = map[string]string{
	"redis-server":  "redis-server",
	"valkey-server": "valkey-server (on Debian 12 from bookworm-backports)",
	"nginx":         "nginx",
	"prometheus":    "prometheus",
	"promtool":      "prometheus",
	"gcc":           "gcc libc6-dev",
}

// systemFolders hold servers on Debian, and are not in everyone's PATH.
var systemFolders = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// Find returns the path of a program, looked for in PATH and in the system's folders for servers.
// The error says how to install it.
func Find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return filepath.Abs(path)
	}
	if !errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	for _, folder := range systemFolders {
		candidate := filepath.Join(folder, name)
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	hint := ""
	if name, ok := debianPackage[name]; ok {
		hint = ": install it with apt-get install " + name
	}
	return "", fmt.Errorf("%s not found in PATH or %s%s", name, strings.Join(systemFolders, ", "), hint)
}
