// Package alert reads the well-known events that are about alerts, as leniently as a wall screen
// does (web/screen/data.ts), and tells what a screen can't show of any well-known event.
//
//	publishing ── Check ──▶ which field of an event no screen can show
//	publishing, broker, hub ── Read ──▶ which alert a message is about, and whether it ends it
//	api ── State.Apply, message by message ──▶ the alerts that are open in a room
package alert

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// An Alert is the data of an ALERT. Times are in ms since 1970, 0 where there is none.
type Alert struct {
	ID       string `json:"id"`
	Severity string `json:"severity"` // critical, warning or info
	Title    string `json:"title"`
	Detail   string `json:"detail,omitempty"`
	RaisedAt int64  `json:"raisedAt,omitempty"`
	// ExpiresAt is when it ends without being cleared.
	ExpiresAt int64 `json:"expiresAt,omitempty"`
	// EscalateAfter is for how long it may be open until someone has to see to it, in ms; 0 for as
	// long as others, negative for ever.
	EscalateAfter int64 `json:"escalateAfter,omitempty"`
	Cleared       bool  `json:"-"`
}

// maxText bounds what is read of a text, in characters, as screens do.
const maxText = 300

// Read reads the data of an ALERT. One without an id is known by its title; one that has neither is
// none.
func Read(data []byte) (Alert, bool) {
	fields, ok := object(data)
	if !ok {
		return Alert{}, false
	}
	a := Alert{ID: text(fields["id"]), Severity: severity(fields["severity"]), Title: text(fields["title"]),
		Detail: text(fields["detail"]), RaisedAt: moment(fields["raisedAt"]), ExpiresAt: moment(fields["expiresAt"])}
	if a.ID == "" {
		a.ID = a.Title
	}
	if a.Title == "" {
		a.Title = a.ID
	}
	a.EscalateAfter = minutes(fields["escalateAfter"])
	a.Cleared = string(fields["cleared"]) == "true" || isPast(fields["clearedAt"])
	return a, a.ID != ""
}

// An Acknowledgement is the data of an ALERT_ACKNOWLEDGED: someone has seen to an alert.
type Acknowledgement struct {
	ID string `json:"id"`
	By string `json:"by,omitempty"`
	At int64  `json:"at"` // ms since 1970
}

// ReadAcknowledgement reads the data of an ALERT_ACKNOWLEDGED. One without an id is none.
func ReadAcknowledgement(data []byte) (Acknowledgement, bool) {
	fields, ok := object(data)
	a := Acknowledgement{ID: text(fields["id"]), By: text(fields["by"]), At: moment(fields["at"])}
	return a, ok && a.ID != ""
}

// Listed returns the alerts that the data of a SHIFT_SNAPSHOT lists: all that are open. It is not
// ok when the snapshot does not speak of alerts.
func Listed(data []byte) (alerts []Alert, ok bool) {
	fields, ok := object(data)
	if !ok || !bytes.HasPrefix(fields["alerts"], []byte("[")) {
		return nil, false
	}
	var items []json.RawMessage
	if json.Unmarshal(fields["alerts"], &items) != nil {
		return nil, false
	}
	for _, item := range items {
		if a, ok := Read(item); ok {
			alerts = append(alerts, a)
		}
	}
	return alerts, true
}

// Key is an id as it may stand in a list of names: ids are text of any kind and length.
func Key(id string) string {
	const most = 128
	if len(id) <= most && utf8.ValidString(id) && strings.IndexFunc(id, unicode.IsControl) < 0 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

func object(data []byte) (fields map[string]json.RawMessage, ok bool) {
	data = bytes.TrimSpace(data)
	return fields, bytes.HasPrefix(data, []byte("{")) && json.Unmarshal(data, &fields) == nil
}

// text returns a text without the space around it, or a number as it was written.
func text(raw json.RawMessage) string {
	var s string
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '"':
		_ = json.Unmarshal(raw, &s) // it was parsed already
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		n, _ := strconv.ParseFloat(string(raw), 64)
		s = strconv.FormatFloat(n, 'f', -1, 64)
	}
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) > maxText {
		s = string([]rune(s)[:maxText])
	}
	return s
}

// severity is one of three words: one that is not ours is no reason to hide an alert.
func severity(raw json.RawMessage) string {
	switch word := strings.ToLower(text(raw)); word {
	case "critical", "info":
		return word
	}
	return "warning"
}

// firstMoment and lastMoment bound the times that were meant: what is outside of this century may
// be in seconds, or no time at all. In ms since 1970.
var (
	firstMoment = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	lastMoment  = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
)

// moment reads a time in ms since 1970, or as RFC 3339 has it.
func moment(raw json.RawMessage) int64 {
	var ms int64
	if s := text(raw); len(raw) > 0 && raw[0] == '"' {
		if at, err := time.Parse(time.RFC3339, s); err == nil {
			ms = at.UnixMilli()
		}
	} else if n, err := strconv.ParseFloat(s, 64); err == nil && n < float64(lastMoment) {
		ms = int64(n)
	}
	if ms < firstMoment || ms >= lastMoment {
		return 0
	}
	return ms
}

// minutes reads a span in minutes, up to a week. 0 or less is for ever, which is -1.
func minutes(raw json.RawMessage) int64 {
	n, err := strconv.ParseFloat(text(raw), 64)
	switch {
	case err != nil || n > 7*24*60:
		return 0
	case n <= 0:
		return -1
	}
	return int64(n * 60_000)
}

// isPast reports whether there is a time, of any kind.
func isPast(raw json.RawMessage) bool {
	if n, err := strconv.ParseFloat(string(raw), 64); err == nil {
		return n > 0
	}
	return moment(raw) > 0
}
