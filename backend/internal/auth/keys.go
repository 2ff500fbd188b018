package auth

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/zonecast/zonecast/backend/wire"
)

// maxPublishKeys bounds the keys of a file: each request is compared with all of them.
const maxPublishKeys = 1000

// keyPrefix begins the keys that are made here, so that people and scanners know one when they see
// it.
const keyPrefix = "zck_"

// A PublishKey is what a service publishes with, as a line of PUBLISH_KEYS_FILE has it: hashed.
type PublishKey struct {
	// Name is what logs and errors call it: letters, digits, "-", "_" and ".".
	Name string
	// Warehouses are the rooms: "*", "warehouse-1" with all of its zones, or
	// "warehouse-1:zone-a". At least one.
	Warehouses []string
	// Events may be published; none for all.
	Events []string
	// Retain permits retained events.
	Retain bool
	// Expires is when the key does; zero for never.
	Expires time.Time

	hash     [sha256.Size]byte
	identity Identity
}

// NewPublishKey makes a key of 256 random bits. The line, which goes into the file, does not tell
// the key.
func NewPublishKey(k PublishKey) (key, line string, err error) {
	random := make([]byte, 32)
	rand.Read(random)
	key = keyPrefix + base64.RawURLEncoding.EncodeToString(random)
	hash := sha256.Sum256([]byte(key))
	fields := []string{k.Name, "sha256:" + hex.EncodeToString(hash[:]), "warehouses=" + strings.Join(k.Warehouses, ",")}
	if len(k.Events) > 0 {
		fields = append(fields, "events="+strings.Join(k.Events, ","))
	}
	if k.Retain {
		fields = append(fields, "retain")
	}
	if !k.Expires.IsZero() {
		fields = append(fields, "expires="+k.Expires.UTC().Format(time.RFC3339))
	}
	for _, field := range fields {
		if strings.ContainsFunc(field, unicode.IsSpace) {
			return "", "", fmt.Errorf("%.80q has a space in it: the name, warehouses and events can't", field)
		}
	}
	line = strings.Join(fields, " ")
	if _, err := parsePublishKey(line); err != nil {
		return "", "", err
	}
	return key, line, nil
}

// parsePublishKey reads a line: NAME sha256:HEX warehouses=… [events=…] [retain] [expires=…].
func parsePublishKey(line string) (*PublishKey, error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return nil, fmt.Errorf("write NAME sha256:HASH warehouses=…: zonecast token key makes such a line")
	}
	k := &PublishKey{Name: fields[0]}
	if _, err := wire.NewRoom(k.Name, ""); err != nil {
		return nil, fmt.Errorf("the name %.40q: use 1 to %d letters, digits, -, _ and .", k.Name, wire.MaxNameLen)
	}
	hash, ok := strings.CutPrefix(fields[1], "sha256:")
	if n, err := hex.Decode(k.hash[:], []byte(hash)[:min(len(hash), 2*sha256.Size)]); !ok || err != nil || n != sha256.Size || len(hash) != 2*n {
		return nil, fmt.Errorf("key %s: the second field must be sha256: and 64 hexadecimal digits, never the key itself", k.Name)
	}
	for _, field := range fields[2:] {
		if err := k.set(field); err != nil {
			return nil, fmt.Errorf("key %s: %w", k.Name, err)
		}
	}
	if len(k.Warehouses) == 0 {
		return nil, fmt.Errorf("key %s: warehouses=… is missing: name them, or write warehouses=*", k.Name)
	}
	return k, k.permit()
}

func (k *PublishKey) set(field string) (err error) {
	name, value, _ := strings.Cut(field, "=")
	switch {
	case field == "retain":
		k.Retain = true
	case name == "warehouses" && value != "":
		k.Warehouses = strings.Split(value, ",")
	case name == "events" && value != "":
		k.Events = strings.Split(value, ",")
	case name == "expires":
		if k.Expires, err = time.Parse(time.RFC3339, value); err != nil {
			return fmt.Errorf("expires=%.40s is no time: write it like 2027-01-31T00:00:00Z", value)
		}
	default:
		return fmt.Errorf("%.40q is not known: write warehouses=…, events=…, retain or expires=…", field)
	}
	return nil
}

// permit works out what the key permits.
func (k *PublishKey) permit() error {
	var rooms grant
	for _, scope := range k.Warehouses {
		warehouse, zone, hasZone := strings.Cut(scope, ":")
		if scope == "*" {
			rooms = append(rooms, warehouseGrant{warehouse: "*"})
			continue
		}
		if _, err := wire.NewRoom(warehouse, zone); err != nil || hasZone && zone == "" {
			return fmt.Errorf("key %s: warehouses has %.80q: write *, a warehouse, or warehouse:zone", k.Name, scope)
		}
		w := warehouseGrant{warehouse: warehouse}
		if hasZone {
			w.zones = []string{zone}
		}
		rooms = append(rooms, w)
	}
	for _, event := range k.Events {
		if err := wire.CheckEvent(event); err != nil {
			return fmt.Errorf("key %s: events: %w", k.Name, err)
		}
	}
	k.identity = Identity{Key: k.Name, publish: rooms, events: k.Events, Expires: k.Expires, until: k.Expires}
	if k.Retain {
		k.identity.retain = rooms
	}
	return nil
}

// publishKeys are those that are in force. It is safe for concurrent use.
type publishKeys struct {
	static atomic.Pointer[[]*PublishKey] // of PUBLISH_KEYS, which may publish anything
	file   atomic.Pointer[[]*PublishKey]
}

func newPublishKeys(plain []string) *publishKeys {
	k := new(publishKeys)
	k.set(plain)
	return k
}

// set takes over PUBLISH_KEYS.
func (k *publishKeys) set(plain []string) {
	static := make([]*PublishKey, 0, len(plain))
	for _, key := range plain {
		hash := sha256.Sum256([]byte(key))
		name := fmt.Sprintf("PUBLISH_KEYS-%x", hash[:4]) // the same at all instances, in whatever order
		static = append(static, &PublishKey{Name: name, hash: hash,
			identity: Identity{Key: name, join: everything, publish: everything, retain: everything}})
	}
	k.static.Store(&static)
}

// use takes over the lines of PUBLISH_KEYS_FILE.
func (k *publishKeys) use(p []byte) error {
	all := []*PublishKey{}
	names := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(p))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := parsePublishKey(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if names[key.Name] {
			return fmt.Errorf("line %d: there is another key %s: give each one its own name", n, key.Name)
		}
		names[key.Name] = true
		all = append(all, key)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(all) > maxPublishKeys {
		return fmt.Errorf("there are %d keys: at most %d are allowed", len(all), maxPublishKeys)
	}
	k.file.Store(&all)
	return nil
}

// find returns the key that was given, in a time that does not tell how much of it is right; nil
// for none.
func (k *publishKeys) find(given string) (found *PublishKey) {
	hash := sha256.Sum256([]byte(given))
	compare := func(all []*PublishKey) {
		for _, one := range all {
			if subtle.ConstantTimeCompare(hash[:], one.hash[:]) == 1 {
				found = one
			}
		}
	}
	compare(*k.static.Load())
	if file := k.file.Load(); file != nil {
		compare(*file)
	}
	return found
}
