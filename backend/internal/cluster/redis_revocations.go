package cluster

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/redis/go-redis/v9"
)

const (
	// revocationsKey, after the prefix, is a hash: ID ─▶ JSON, and versionField ─▶ a text that changes with each
	// change.
	revocationsKey = ":revocations"
	versionField   = "version"
)

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
	return c.client.HSet(ctx, c.prefix+revocationsKey, fields...).Err()
}

// DeleteRevocations deletes them.
func (c *Redis) DeleteRevocations(ctx context.Context, ids ...string) error {
	_, err := c.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.HDel(ctx, c.prefix+revocationsKey, ids...)
		tx.HSet(ctx, c.prefix+revocationsKey, versionField, rand.Text())
		return nil
	})
	return err
}
