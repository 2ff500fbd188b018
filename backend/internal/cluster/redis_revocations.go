package cluster

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/redis/go-redis/v9"
)

const (
	// revocationsKey, after the prefix, is a hash: ID ─▶ JSON, and versionField ─▶ a text
	// that changes with each change.
	revocationsKey = ":revocations"
	versionField   = "version"
)

// putScript sets fields of the hash. ARGV: field and value in turn.
var putScript = redis.NewScript(evenWhenFull + `
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
`)

// deleteScript deletes fields of the hash. ARGV: the version's field, its value, and the fields.
var deleteScript = redis.NewScript(evenWhenFull + `
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
for i = 3, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
`)

// RevocationsVersion returns a text that changes when the revocations do; empty when there is
// nothing in Redis.
func (c *Redis) RevocationsVersion(ctx context.Context) (string, error) {
	version, err := c.client.HGet(ctx, c.prefix+revocationsKey, versionField).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return version, err
}

// LoadRevocations returns the revocations by ID, as they were put.
func (c *Redis) LoadRevocations(ctx context.Context) (values map[string]string, version string, err error) {
	if values, err = c.client.HGetAll(ctx, c.prefix+revocationsKey).Result(); err != nil {
		return nil, "", err
	}
	version = values[versionField]
	delete(values, versionField)
	return values, version, nil
}

// PutRevocations keeps some for all instances, by ID.
func (c *Redis) PutRevocations(ctx context.Context, values map[string]string) error {
	fields := []any{versionField, rand.Text()}
	for id, value := range values {
		fields = append(fields, id, value)
	}
	return c.changeRevocations(ctx, putScript, fields)
}

// DeleteRevocations deletes them.
func (c *Redis) DeleteRevocations(ctx context.Context, ids ...string) error {
	fields := []any{versionField, rand.Text()}
	for _, id := range ids {
		fields = append(fields, id)
	}
	return c.changeRevocations(ctx, deleteScript, fields)
}

func (c *Redis) changeRevocations(ctx context.Context, script *redis.Script, fields []any) error {
	if err := script.Run(ctx, c.client, []string{c.prefix + revocationsKey}, fields...).Err(); !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}
