package redisconn_test

import (
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// What a newer version wrote is refused, with what to do; what is not marked yet is marked, each
// prefix by itself.
func TestANewerFormatIsRefused(t *testing.T) {
	s := stacktest.Redis(t, stack.Single)
	target, err := redisconn.Find(t.Context(), redisconn.Options{URL: s.RedisURL})
	testkit.Must(t, err)
	for range 2 {
		testkit.Must(t, target.CheckFormat(t.Context(), "zonecast"))
	}
	if text, err := s.Redis.Command(t.Context(), "GET zonecast:format"); err != nil || text != "1" {
		t.Errorf("the mark is %q, %v", text, err)
	}
	for give, want := range map[string]string{
		"2":     "is of format 2, and this version reads up to 1: start the version that wrote it or a newer one",
		"other": "set another REDIS_PREFIX",
	} {
		_, err := s.Redis.Command(t.Context(), "SET zonecast:format "+give)
		testkit.Must(t, err)
		if err := target.CheckFormat(t.Context(), "zonecast"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", give, err, want)
		}
	}
	testkit.Must(t, target.CheckFormat(t.Context(), "staging"))
}
