package stack

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// NginxPlace is where nginx runs natively, in place of its container.
type NginxPlace struct {
	// Listen is its own host and port.
	Listen string
	// Backends are the addresses of the instances, one or more.
	Backends []string
	// Dir is a folder for its pid, its logs and what it buffers on disk.
	Dir string
	// Logs is a folder for its logs; Dir if it is empty.
	Logs string
	// TLS is the path of deploy/nginx-tls.conf, rewritten by RewriteNginxTLS; empty for no TLS.
	TLS string
}

// RewriteNginx returns the repository's nginx.conf for another place. Everything but addresses,
// paths, the user and the limits stays as it is. A directive that it means to replace and does not
// find is an error, so that the file and this function can't drift apart unseen.
func RewriteNginx(config string, place NginxPlace) (string, error) {
	limit, err := descriptorLimit()
	if err != nil {
		return "", fmt.Errorf("rewrite nginx.conf: %w", err)
	}
	user := "" // a master without root's rights can't change to another user
	if os.Geteuid() == 0 {
		user = "user root;" // the folder is root's own
	}
	include := ""
	if place.TLS != "" {
		include = "        include " + place.TLS + ";"
	}
	edited, err := edit(config,
		replace(`(?m)^user nginx;$`, user),
		replace(`(?m)^pid /run/nginx\.pid;$`, "pid "+place.Dir+"/nginx.pid;"),
		replace(`(?m)^error_log /dev/stderr `, "error_log "+cmp.Or(place.Logs, place.Dir)+"/error.log "),
		replace(`(?m)^    access_log /dev/stdout `, "    access_log "+cmp.Or(place.Logs, place.Dir)+"/access.log "),
		replace(`(?m)^http \{$`, "http {\n"+temporaryPaths(place.Dir)),
		replace(`(?m)^        listen 80 `, "        listen "+place.Listen+" "),
		atMost(`(?m)^worker_rlimit_nofile (\d+);$`, limit),
		atMost(`(?m)^    worker_connections (\d+);$`, limit),
		backendLines(place.Backends),
		// Addresses need no name server, and Debian's nginx knows no resolve.
		replace(`(?m)^    resolver(_timeout)? .*\n`, ""),
		replace(` resolve max_fails`, " max_fails"),
		replace(`(?m)^        include /etc/nginx/tls/\*\.conf;$`, include),
		replace(`(?m)^    include /etc/nginx/status/\*\.conf;\n`, ""),
	)
	if err != nil {
		return "", fmt.Errorf("rewrite nginx.conf: %w", err)
	}
	return edited, nil
}

// RewriteNginxTLS returns the repository's deploy/nginx-tls.conf for another place, and for the
// nginx of Debian, which has HTTP/2 in another directive.
func RewriteNginxTLS(config, listen, certificate, key string) (string, error) {
	edited, err := edit(config,
		replace(`(?m)^listen 443 ssl `, "listen "+listen+" ssl http2 "),
		replace(`(?m)^http2 on;\n`, ""),
		replace(`/etc/nginx/tls/certificate\.pem`, certificate),
		replace(`/etc/nginx/tls/key\.pem`, key))
	if err != nil {
		return "", fmt.Errorf("rewrite nginx-tls.conf: %w", err)
	}
	return edited, nil
}

// rewritePrometheus returns the repository's prometheus.yml for another place.
func rewritePrometheus(config, listen string, backends []string) (string, error) {
	edited, err := edit(config, replace(`localhost:9090`, listen), backendLines(backends),
		// There is no Alertmanager here, nor an exporter.
		replace(`(?s)\nalerting:\n.*?\n\n`, "\n"), replace(`(?s)\n  # What stands beside the instances\..*`, ""))
	if err != nil {
		return "", fmt.Errorf("rewrite prometheus.yml: %w", err)
	}
	return edited, nil
}

// An editing changes a text, or says what it did not find there.
type editing func(string) (string, error)

func edit(text string, editings ...editing) (string, error) {
	var errs []error
	for _, e := range editings {
		edited, err := e(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		text = edited
	}
	return text, errors.Join(errs...)
}

// replace puts the replacement, taken literally, where the pattern matches.
func replace(pattern, replacement string) editing {
	expression := regexp.MustCompile(pattern)
	return func(text string) (string, error) {
		if !expression.MatchString(text) {
			return "", fmt.Errorf("nothing matches %s", pattern)
		}
		return expression.ReplaceAllLiteralString(text, replacement), nil
	}
}

// atMost lowers the number in the pattern's group to a limit of this machine.
func atMost(pattern string, limit uint64) editing {
	expression := regexp.MustCompile(pattern)
	return func(text string) (string, error) {
		at := expression.FindStringSubmatchIndex(text)
		if at == nil {
			return "", fmt.Errorf("nothing matches %s", pattern)
		}
		number, err := strconv.ParseUint(text[at[2]:at[3]], 10, 64)
		if err != nil {
			return "", err
		}
		return text[:at[2]] + strconv.FormatUint(min(number, limit), 10) + text[at[3]:], nil
	}
}

var backendLine = regexp.MustCompile(`(?m)^.*\bbackend-(\d+):3001\b.*\n`)

// backendLines replaces each block of lines about backend-1, backend-2, … by one line for each
// address, made from the line about backend-1.
func backendLines(addresses []string) editing {
	return func(text string) (string, error) {
		found := false
		edited := backendLine.ReplaceAllStringFunc(text, func(line string) string {
			if !strings.Contains(line, "backend-1:3001") {
				return ""
			}
			found = true
			var lines strings.Builder
			for _, address := range addresses {
				lines.WriteString(strings.Replace(line, "backend-1:3001", address, 1))
			}
			return lines.String()
		})
		if !found {
			return "", errors.New("no line names backend-1:3001")
		}
		return edited, nil
	}
}

// temporaryPaths moves what nginx would keep below /var/lib or /var/cache, for the modules that
// Debian compiles in.
func temporaryPaths(dir string) string {
	var lines []string
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		lines = append(lines, fmt.Sprintf("    %s_temp_path %s/%s;", name, dir, name))
	}
	return strings.Join(lines, "\n")
}

// descriptorLimit is how many descriptors a process may have here.
func descriptorLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of descriptors: %w", err)
	}
	return uint64(limit.Max), nil
}
