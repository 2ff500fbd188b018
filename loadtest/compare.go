//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/zonecast/zonecast/loadtest/internal/report"
)

const compareUsage = "loadtest compare [--worse=10%] BEFORE.json AFTER.json"

// compare prints two results side by side. With --worse it fails when a figure got worse by more
// than so much, or the second run failed.
func compare(args []string, stdout, stderr io.Writer) int {
	var names []string
	limit := 0.0
	for i := 0; i < len(args); i++ {
		arg := args[i]
		value, isLimit := strings.CutPrefix(arg, "--worse=")
		if arg == "--worse" {
			i, isLimit, value = i+1, true, strings.Join(args[i+1:min(i+2, len(args))], "")
		}
		switch {
		case isLimit:
			n, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
			if err != nil || !(n > 0) || !strings.HasSuffix(value, "%") {
				fmt.Fprintf(stderr, "loadtest compare: --worse is %q: give a percentage, like 10%%\n", value)
				return exitUsage
			}
			limit = n
		case arg == "--help" || arg == "-h":
			fmt.Fprintf(stdout, "Usage: %s\n\nCompares two files that --json wrote. With --worse, the exit code is 99 when a figure got worse by more,\nor the second run failed.\n", compareUsage)
			return exitGood
		default:
			names = append(names, arg)
		}
	}
	if len(names) != 2 || strings.HasPrefix(names[0], "-") || strings.HasPrefix(names[1], "-") {
		fmt.Fprintln(stderr, "loadtest compare: give two files that --json wrote:", compareUsage)
		return exitUsage
	}
	before, err := readResult(names[0])
	after, alsoErr := readResult(names[1])
	if err = cmp.Or(err, alsoErr); err != nil {
		fmt.Fprintln(stderr, "loadtest compare:", err)
		return exitUsage
	}
	c := report.Compare(before, after)
	if err := c.WriteText(stdout, names[0], names[1]); err != nil {
		fmt.Fprintln(stderr, "loadtest compare:", err)
		return exitUsage
	}
	if limit > 0 && len(c.Differences) > 0 {
		fmt.Fprintf(stderr, "loadtest compare: these runs are not alike (%s), so --worse can't judge them: compare runs of the same settings\n",
			strings.Join(c.Differences, "; "))
		return exitUsage
	}
	if limit > 0 && c.Worse(limit/100) {
		return exitMissed
	}
	return exitGood
}

func readResult(name string) (*report.Result, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var r report.Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s is not a result of the load tester: %w", name, err)
	}
	if r.Schema != report.Schema {
		return nil, fmt.Errorf("%s has schema %d, and this program reads %d: write it again with this program", name, r.Schema, report.Schema)
	}
	return &r, nil
}
