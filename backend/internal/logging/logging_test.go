package logging_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/logging"
)

func TestEachLineIsOneRecordAndDurationsHaveTheirUnit(t *testing.T) {
	var out bytes.Buffer
	log := logging.New(&out, "json", slog.LevelInfo)
	log.Info("one\nline", "after", 1500*time.Millisecond, "nested", slog.GroupValue(slog.Duration("wait", 3*time.Second)))
	log.Debug("unseen")
	var got struct {
		Msg, After string
		Nested     struct{ Wait string }
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.After != "1.5s" || got.Nested.Wait != "3s" || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%q: %+v %v", out.String(), got, err)
	}
	out.Reset()
	logging.New(&out, "text", slog.LevelInfo).Info("one\nline", "after", 1500*time.Millisecond)
	if !strings.Contains(out.String(), "after=1.5s") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%q", out.String())
	}
}

func TestTheLevelChangesWhileTheServerRuns(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	log := logging.Sampled(logging.New(&out, "text", level), "line")
	log.Debug("unseen")
	level.Set(slog.LevelDebug)
	log.Debug("seen")
	if got := out.String(); strings.Contains(got, "unseen") || !strings.Contains(got, "seen") {
		t.Errorf("%q", got)
	}
}

// An output may be written to by several goroutines.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// take returns what was written since the last call.
func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.text.Reset()
	return o.text.String()
}

// A flood of lines is cut, and what was left out is counted, also when no other line follows.
func TestAFloodIsSampledAndWhatIsLeftOutIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		log := logging.Sampled(logging.New(&out, "text", slog.LevelInfo), "connection closed")
		for i := range 1000 {
			log.With("n", i).Info("connection closed")
		}
		if n := strings.Count(out.take(), "\n"); n != 100 {
			t.Errorf("%d lines at once, want 100", n)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if want := `msg="lines left out" of="connection closed" count=900`; !strings.Contains(out.take(), want) {
			t.Errorf("no line has %s", want)
		}
		for i := range 3 {
			log.Info("connection closed", "n", fmt.Sprint("again-", i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := out.take(); strings.Count(got, "\n") != 3 {
			t.Errorf("after the flood: %q", got)
		}
	})
}
