package problem

import (
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	for _, tt := range []struct{ name, give, want string }{
		{"a problem", `{"title":"Bad Request","detail":"event is missing"}`, "the server answered HTTP 400 Bad Request: event is missing"},
		{"a problem without a detail", `{"title":"Not now"}`, "the server answered HTTP 400 Bad Request: Not now"},
		{"a message", `{"message":"Not Found"}`, "the server answered HTTP 400 Bad Request: Not Found"},
		{"other JSON", `{"a":1}`, "the server answered HTTP 400 Bad Request"},
		{"text", "  no such page \n more ", "the server answered HTTP 400 Bad Request: no such page"},
		{"a page", "<html><body>", "the server answered HTTP 400 Bad Request"},
		{"nothing", "", "the server answered HTTP 400 Bad Request"},
		{"no text", "\xff\xfe", "the server answered HTTP 400 Bad Request"},
		{"much text", strings.Repeat("é", 300), "the server answered HTTP 400 Bad Request: " + strings.Repeat("é", 100) + "…"},
	} {
		got := New(400, []byte(tt.give))
		if got.Error() != tt.want || got.Kind() != "HTTP 400" {
			t.Errorf("%s: %q, %q; want %q", tt.name, got, got.Kind(), tt.want)
		}
	}
}
