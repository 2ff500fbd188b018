package main

import (
	"fmt"
	"io"
	"os"

	"github.com/zonecast/zonecast/backend/internal/history"
)

type checkHistoryCommand struct {
	File     string `arg:"" help:"What publishers and clients saw, one JSON object a line: see docs/simulation.md."`
	Messages int    `help:"HISTORY_MESSAGES of the server that it is of." default:"1000"`
	AgeMS    int64  `name:"age-ms" help:"HISTORY_AGE of that server, in milliseconds." default:"600000"`
}

// Run is called by kong.
func (c *checkHistoryCommand) Run(stdout io.Writer) error {
	file, err := os.Open(c.File)
	if err != nil {
		return &startError{fmt.Errorf("read the history: %w", err)}
	}
	defer file.Close()
	records, err := history.Read(file)
	if err != nil {
		return &startError{err}
	}
	found := history.Check(records, history.Limits{Messages: c.Messages, AgeMS: c.AgeMS})
	for _, v := range found {
		fmt.Fprintln(stdout, v.Error())
		for _, line := range v.Lines {
			fmt.Fprintf(stdout, "  line %d: %+v\n", line, records[line-1])
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("%d broken promises in %d records", len(found), len(records))
	}
	fmt.Fprintf(stdout, "%d records keep every promise\n", len(records))
	return nil
}
