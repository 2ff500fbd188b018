//go:build go1.26

package publish_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/zonecast/zonecast/backend/publish"
)

// A service tells a zone's screens that the number of workers changed.
func Example() {
	server := httptest.NewServer(standIn())
	defer server.Close()

	client, err := publish.New(server.URL, publish.WithAPIKey("warehouse-planner-key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	update := map[string]any{"now": int64(1767225600000), "workers": 12}
	if err := client.BroadcastToZone("warehouse-1", "zone-a", "ZONE_UPDATE", update); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("published")
	// Output: published
}

// A retained message is the room's state: whoever joins later receives it first. The result says
// where it stands.
func ExampleClient_Publish() {
	server := httptest.NewServer(standIn())
	defer server.Close()
	client, _ := publish.New(server.URL, publish.WithTimeout(time.Second))

	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	result, err := client.Publish(ctx, publish.Message{
		Warehouse: "warehouse-1",
		Event:     "SHIFT_SNAPSHOT",
		Data:      json.RawMessage(`{"shift":"2026-11-24-early"}`),
		Retain:    true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Room, result.Offset)
	// Output: warehouse:warehouse-1 k3f9-17
}

// What the server refuses comes back as a *publish.Error, whose Detail says what to change.
func ExampleError() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"title":"Forbidden","detail":"this key may not publish to warehouse-2","code":"forbidden"}`)
	}))
	defer server.Close()
	client, _ := publish.New(server.URL)

	err := client.BroadcastToWarehouse("warehouse-2", "ALERT", nil)
	if refused, ok := errors.AsType[*publish.Error](err); ok {
		fmt.Println(refused.Status, refused.Code, "-", refused.Detail)
	}
	// Output: 403 forbidden - this key may not publish to warehouse-2
}

// standIn answers like a server whose only room is a whole warehouse, or zone-a of it.
func standIn() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/warehouses/{warehouse}/broadcast", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"room":"warehouse:%s","offset":"k3f9-17"}`, r.PathValue("warehouse"))
	})
	mux.HandleFunc("POST /api/v1/warehouses/{warehouse}/zones/{zone}/broadcast", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"room":"zone:%s:%s","offset":"k3f9-18"}`, r.PathValue("warehouse"), r.PathValue("zone"))
	})
	return mux
}
