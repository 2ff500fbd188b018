//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/scenario"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
)

// A file is opened before the run: if it can't be written, that is known before and not after it.
type file struct {
	*os.File
	missing bool // it was not there before
	write   func(w io.Writer, result *report.Result, run *scenario.Run) error
	live    *bufio.Writer // of what is written during the run; it keeps its errors
}

type files []file

// openFiles opens the files that the plan names; with an error, it returns those that it opened.
func openFiles(plan settings.Plan) (all files, err error) {
	for _, f := range []struct {
		name, flag string
		write      func(io.Writer, *report.Result, *scenario.Run) error
	}{
		{plan.JSONFile, "--json (JSON_FILE)", func(w io.Writer, r *report.Result, _ *scenario.Run) error { return r.WriteJSON(w) }},
		{plan.CSVFile, "--csv (CSV_FILE)", func(w io.Writer, r *report.Result, _ *scenario.Run) error { return r.WriteCSV(w) }},
		{plan.HDRFile, "--hdr (HDR_FILE)", func(w io.Writer, _ *report.Result, run *scenario.Run) error { return run.WriteHDR(w) }},
		{plan.HistoryFile, "--history (HISTORY_FILE)", nil},
		{plan.HTMLFile, "--html (HTML_FILE)", func(w io.Writer, r *report.Result, _ *scenario.Run) error { return r.WriteHTML(w) }},
	} {
		if f.name == "" {
			continue
		}
		_, missing := os.Stat(f.name)
		opened, err := os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return all, fmt.Errorf("%s: %w: name a file that can be written", f.flag, err)
		}
		all = append(all, file{File: opened, missing: missing != nil, write: f.write})
		if f.write == nil {
			all[len(all)-1].live = bufio.NewWriterSize(opened, 64<<10)
		}
	}
	return all, nil
}

// history returns what the history is written to during the run, nil if there is none to write.
func (all files) history() io.Writer {
	for _, f := range all {
		if f.live != nil {
			_ = f.Truncate(0) // as write does
			return f.live
		}
	}
	return nil
}

func (all files) write(result *report.Result, run *scenario.Run) error {
	var errs []error
	for _, f := range all {
		if f.live != nil {
			errs = append(errs, f.live.Flush(), f.Close())
			continue
		}
		_ = f.Truncate(0) // fails for a pipe or a terminal, which have no old content
		errs = append(errs, f.write(f, result, run), f.Close())
	}
	return errors.Join(errs...)
}

func (all files) discard() error {
	var errs []error
	for _, f := range all {
		errs = append(errs, f.Close())
		if f.missing {
			errs = append(errs, os.Remove(f.Name()))
		}
	}
	return errors.Join(errs...)
}
