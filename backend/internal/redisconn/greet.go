package redisconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// greet asks the server what it is: whether it is there, new enough (XTRIM MINID came with 6.2),
// and one of a cluster. A server that we may not ask with INFO is taken for a single one of version
// 6.2.
func (t *Target) greet(ctx context.Context, prefix string, log *slog.Logger) error {
	client := t.Client(Tuning{Timeout: timeout, PoolSize: 2})
	defer client.Close()
	if err := client.Ping(ctx).Err(); err != nil {
		return t.explain(err)
	}
	info, err := client.InfoMap(ctx).Result() // all of it: 6.2 takes one section only
	if err != nil {
		log.Warn("Redis may not be asked what it is (INFO): a cluster is not recognized", "error", err)
		t.Sharded = client.SPublish(ctx, prefix+":probe", "").Err() == nil
		return nil
	}
	version := info["Server"]["redis_version"]
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n == 2 && (major < 6 || major == 6 && minor < 2) {
		return fmt.Errorf("version %s is too old: 6.2 or newer is needed", version)
	}
	t.Sharded = major >= 7
	switch mode := cmp.Or(info["Server"]["redis_mode"], info["Server"]["server_mode"]); { // Valkey's name
	case mode == "sentinel":
		return errors.New("this is a Sentinel: add ?master_name= with the name of what it watches")
	case mode == "cluster" && t.single != nil:
		t.cluster, t.single = clusterOf(t.single), nil
		whole := t.Client(Tuning{Timeout: timeout, PoolSize: 2})
		defer whole.Close()
		if err := whole.Ping(ctx).Err(); err != nil {
			return t.explain(err)
		}
	case mode == "standalone" && t.cluster != nil:
		return errors.New("it is not of a Redis Cluster, so it can't be used with others: give one address")
	case t.single != nil && info["Replication"]["role"] == "slave" && info["Replication"]["slave_read_only"] != "0":
		return errors.New("this is a read-only replica: give the address of its master, or of the Sentinels with ?master_name=")
	}
	return nil
}

// A DeniedError says which rights to channels the user of Redis needs.
type DeniedError struct {
	cause error
	rule  string
}

func (e *DeniedError) Error() string {
	return fmt.Sprintf("%v: it needs channels and pub/sub, grant them with %s", e.cause, e.rule)
}
func (e *DeniedError) Unwrap() error { return e.cause }

// ExplainDenied makes a [DeniedError] of one that says that channels may not be used, and leaves
// others as they are.
func (t *Target) ExplainDenied(err error, prefix string) error {
	if !redis.HasErrorPrefix(err, "NOPERM") {
		return err
	}
	return &DeniedError{err, fmt.Sprintf("ACL SETUSER %s &%s:* +@pubsub", t.User(), prefix)}
}

// CheckChannels tries whether channels with the prefix may be used. Redis 7 permits none to a new
// user.
func (t *Target) CheckChannels(ctx context.Context, prefix string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := t.Client(Tuning{Timeout: timeout, PoolSize: 2})
	defer client.Close()
	channel, subscribe, publish := prefix+":probe", client.Subscribe, client.Publish
	if t.Sharded {
		subscribe, publish = client.SSubscribe, client.SPublish
	}
	listening := subscribe(ctx, channel)
	defer listening.Close()
	if _, err := listening.Receive(ctx); err != nil {
		return t.ExplainDenied(err, prefix)
	}
	return t.ExplainDenied(publish(ctx, channel, "").Err(), prefix)
}

// IsTemporary reports whether an error of [Find] may go away by itself: the server is not there
// yet, does not answer, or loads its data.
func IsTemporary(err error) bool {
	if errors.As(err, new(*fs.PathError)) { // a file that settings name; its errno would pass for one of the network
		return false
	}
	var network net.Error
	for _, prefix := range []string{"LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, context.DeadlineExceeded)
}

// clusterOf makes of one server's options those of the cluster that it belongs to.
func clusterOf(o *redis.Options) *redis.ClusterOptions {
	secure := o.TLSConfig.Clone()
	if secure != nil {
		secure.ServerName = "" // each server has its own
	}
	return &redis.ClusterOptions{Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, TLSConfig: secure,
		ClientName: o.ClientName, Protocol: o.Protocol, PoolSize: o.PoolSize}
}

// explain adds to an error of Redis what to change, where that can be said.
func (t *Target) explain(err error) error {
	var network net.Error
	var unknown *net.DNSError
	switch {
	case redis.HasErrorPrefix(err, "NOAUTH"):
		return fmt.Errorf("%w: write the password into the URL, like redis://:PASSWORD@host:6379", err)
	case redis.HasErrorPrefix(err, "WRONGPASS"):
		return fmt.Errorf("%w: user or password of the URL is wrong", err)
	case redis.HasErrorPrefix(err, "NOPERM"):
		return fmt.Errorf("%w: the user of the URL needs more rights, see docs/operations.md", err)
	case strings.Contains(err.Error(), "SELECT is not allowed in cluster mode"):
		return fmt.Errorf("%w: a Redis Cluster has no databases, leave the number out of the URL", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing listens there: is Redis running, and are host and port of the URL right?", err)
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return fmt.Errorf("%w: the host of the URL is misspelled, or this machine's DNS does not know it", err)
	case t.encrypted() && (errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded)):
		return fmt.Errorf("%w: the URL asks for TLS (rediss://): does the server speak it, and does it want a certificate (REDIS_CERT_FILE)?", err)
	case strings.HasPrefix(err.Error(), "redis: can't parse"), strings.HasPrefix(err.Error(), "redis: invalid"),
		errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%w: what answers there is not Redis, or wants TLS (rediss://): check host and port of the URL", err)
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: no answer within %v: does a firewall drop it, or does something else than Redis listen there?", err, timeout)
	}
	return err
}

func (t *Target) encrypted() bool {
	switch {
	case t.failover != nil:
		return t.failover.TLSConfig != nil
	case t.cluster != nil:
		return t.cluster.TLSConfig != nil
	}
	return t.single.TLSConfig != nil
}
