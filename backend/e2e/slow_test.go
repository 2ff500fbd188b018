package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestASlowClientIsSeenAndIsSeenToRecover(t *testing.T) {
	i := alone(t, map[string]string{"SLOW_AFTER": "200ms", "HISTORY_MESSAGES": "10"}).Instances[0]
	conn, in, err := upgrade(i.Address, "warehouse=warehouse-1&zone=slow&userId=forklift-7", "")
	testkit.Must(t, err)
	defer conn.Close()
	testkit.Must(t, conn.(*net.TCPConn).SetReadBuffer(128<<10))
	slow := func() (listed, gauge float64, err error) {
		response, err := http.Get(i.URL + "/api/v1/connections?slow=true")
		if err != nil {
			return 0, 0, err
		}
		defer response.Body.Close()
		var list struct {
			Connections []struct {
				User string `json:"userId"`
			}
		}
		if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
			return 0, 0, err
		}
		for _, c := range list.Connections {
			if c.User != "forklift-7" {
				return 0, 0, fmt.Errorf("the list names %q", c.User)
			}
		}
		return float64(len(list.Connections)), metric(t, i.URL, "zonecast_slow_clients"), nil
	}
	data := fmt.Sprintf(`{"event":"E","data":%q}`, strings.Repeat("x", 60_000))
	var last wire.Offset
	for range 400 { // until the kernel takes no more
		last = send(t, i.URL, "slow", data)
		if metric(t, i.URL, "zonecast_outbox_bytes") > 200_000 {
			break
		}
	}
	testkit.Succeeds(t, "it is seen to be slow", func() error {
		if listed, gauge, err := slow(); err != nil || listed != 1 || gauge != 1 {
			return fmt.Errorf("%v are listed, the gauge says %v: %v", listed, gauge, err)
		}
		return nil
	})
	go func() {
		var buf []byte
		for {
			if _, buf, err = testkit.ReadFrame(in, buf); err != nil {
				return
			}
		}
	}()
	testkit.Succeeds(t, "it is seen to have recovered", func() error {
		if listed, gauge, err := slow(); err != nil || listed != 0 || gauge != 0 {
			return fmt.Errorf("%v are listed, the gauge says %v: %v", listed, gauge, err)
		}
		return nil
	})
	if n := metric(t, i.URL, "zonecast_slow_clients_total"); n != 1 {
		t.Errorf("it became slow %v times", n)
	}
	if n := metric(t, i.URL, "zonecast_messages_dropped_total"); n != 0 || last.N == 0 {
		t.Errorf("%v of %d messages were dropped", n, last.N)
	}
}
