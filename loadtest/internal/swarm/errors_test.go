//go:build linux

package swarm

import (
	"errors"
	"io"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

func TestMayReturn(t *testing.T) {
	for _, tt := range []struct {
		give error
		want bool
	}{
		{io.ErrUnexpectedEOF, true},
		{errors.New("connection reset"), true},
		{&Closed{Code: 1000}, true},
		{&Closed{Code: 1011}, true},
		{&Closed{Code: int(wire.CloseRestart)}, true},
		{&Closed{Code: int(wire.CloseSlowConsumer)}, true},
		{&Closed{Code: int(wire.CloseTooBig)}, false},
		{&Closed{Code: int(wire.CloseForbidden)}, false},
	} {
		if got := MayReturn(tt.give); got != tt.want {
			t.Errorf("MayReturn(%v) = %v, want %v", tt.give, got, tt.want)
		}
	}
}
