// Package redisconn finds the Redis that a URL names, whatever kind it is, and makes clients of it.
//
//	REDIS_URL ──▶ Find ──▶ Target ──▶ Client ──▶ broker, cluster
//
// It asks the server itself whether it is one of a Redis Cluster, so that one address is enough.
package redisconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options of [Find]. URL is needed.
type Options struct {
	// URL is one of
	//
	//	redis://user:password@host:6379/0                       one server, or one of a cluster
	//	redis://user:password@host:6379?addr=host2:6379&addr=…  a Redis Cluster
	//	redis://host:26379?addr=host2:26379&master_name=name    the master of these Sentinels
	//	unix:///run/redis.sock                                  one server on this machine
	//
	// With rediss:// the connection is encrypted. What go-redis knows besides can stand in the
	// query, but for timeouts and retries, which are Zonecast's own.
	URL string
	// CAFile, if not empty, holds the certificates (PEM) that the server's certificate must descend
	// from, instead of those that the system trusts. CertFile and KeyFile are what this side shows
	// when the server asks for a certificate.
	CAFile, CertFile, KeyFile string
	// Prefix begins the names of the channels that may be used (default DefaultPrefix).
	Prefix string
	Log    *slog.Logger
}

// DefaultPrefix is what the names of all keys and channels begin with, unless told otherwise.
const DefaultPrefix = "zonecast"

// timeout bounds each of the commands that [Find] needs.
const timeout = 3 * time.Second

// A Target is a Redis that was found. Exactly one of its options is not nil.
type Target struct {
	single   *redis.Options
	failover *redis.FailoverOptions
	cluster  *redis.ClusterOptions
	// Sharded says that the server knows sharded pub/sub (Redis 7): what is published to a channel
	// then stays within the shard of a cluster that the channel belongs to.
	Sharded bool
}

// A Tuning is what clients for different uses differ in.
type Tuning struct {
	Timeout  time.Duration // of connecting, and of each command
	PoolSize int           // connections at most, to each server; 0 for go-redis's own default
}

func (tune Tuning) apply(dial, read, write *time.Duration, pool, protocol *int) {
	*dial, *read, *write = tune.Timeout, tune.Timeout, tune.Timeout
	*pool, *protocol = cmp.Or(tune.PoolSize, *pool), cmp.Or(*protocol, 2)
}

// Find connects to the Redis, and finds out what it is. It fails if Redis does not answer, is too
// old, or can't be used. No error contains the URL's password.
func Find(ctx context.Context, opts Options) (*Target, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	setLogger.Do(func() { redis.SetLogger(libraryLog{opts.Log}) })
	t, err := parse(opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	if err := t.greet(ctx, cmp.Or(opts.Prefix, DefaultPrefix), opts.Log); err != nil {
		return nil, fmt.Errorf("Redis at %s: %w", t, err)
	}
	return t, nil
}

// Check finds what is wrong with the options themselves, without connecting.
func Check(opts Options) error {
	_, err := parse(opts)
	return err
}

func parse(opts Options) (*Target, error) {
	t := new(Target)
	query := ""
	if u, err := url.Parse(opts.URL); err == nil {
		query = u.RawQuery
		if u.Opaque != "" { // the library would take the default for its host
			return nil, errors.New("the URL has no // before its host: write for example redis://127.0.0.1:6379/0")
		}
	}
	values, _ := url.ParseQuery(query) // the library says what is wrong with it
	var err error
	var secure **tls.Config
	switch {
	case values.Has("master_name"):
		if t.failover, err = redis.ParseFailoverURL(opts.URL); err == nil {
			secure = &t.failover.TLSConfig
			// The URL's user and password open the master; the Sentinels may be asked without, or
			// with the same.
			if t.failover.Username == "" && t.failover.Password == "" {
				t.failover.Username, t.failover.Password = t.failover.SentinelUsername, t.failover.SentinelPassword
			}
		}
	case values.Has("addr"):
		if t.cluster, err = redis.ParseClusterURL(opts.URL); err == nil {
			secure = &t.cluster.TLSConfig
		}
	default:
		if t.single, err = redis.ParseURL(opts.URL); err == nil {
			secure = &t.single.TLSConfig
		}
	}
	if err == nil && hidesPassword(opts.URL) {
		err = errors.New("an @ stands behind the host")
	}
	if err != nil {
		return nil, fmt.Errorf("the URL is not one of Redis (%w): write for example redis://127.0.0.1:6379/0", withoutSecret(opts.URL, err))
	}
	if *secure != nil && t.single == nil {
		(*secure).ServerName = "" // each server is known by its own name, not by that of the first
	}
	if err := opts.certify(*secure); err != nil {
		return nil, err
	}
	return t, nil
}

// certify adds the certificates to the configuration, which is nil without TLS.
func (o Options) certify(c *tls.Config) error {
	if o.CAFile == "" && o.CertFile == "" && o.KeyFile == "" {
		return nil
	}
	if c == nil {
		return errors.New("certificates are given, but the URL does not ask for TLS: write it as rediss://")
	}
	if o.CAFile != "" {
		p, err := os.ReadFile(o.CAFile)
		if err != nil {
			return fmt.Errorf("REDIS_CA_FILE: %w: name a file of certificates", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(p) {
			return fmt.Errorf("REDIS_CA_FILE: %s holds no certificate in PEM form: give one that begins with -----BEGIN CERTIFICATE-----", o.CAFile)
		}
	}
	if o.CertFile != "" || o.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return fmt.Errorf("REDIS_CERT_FILE, REDIS_KEY_FILE: %w: give a certificate and its key, both in PEM", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// hidesPassword reports whether a part of the password was taken for something else, because it has
// characters that separate the parts of a URL (RFC 3986 section 2.2).
func hidesPassword(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.User == nil && strings.Contains(text, "@")
}

// withoutSecret keeps the parts of the URL out of an error where they may be those of a password.
func withoutSecret(text string, err error) error {
	var inner *url.Error
	switch {
	case strings.Contains(text, "@"):
		return errors.New("it can't be read, and is not shown since it holds a password; write special characters of the " +
			"password percent-encoded (@ is %40, / is %2F, # is %23), or set REDIS_PASSWORD")
	case errors.As(err, &inner):
		return inner.Err
	}
	return err
}

// String names the addresses, without user and password.
func (t *Target) String() string {
	switch {
	case t.failover != nil:
		return fmt.Sprintf("%s (Sentinels of %s)", strings.Join(t.failover.SentinelAddrs, ", "), t.failover.MasterName)
	case t.cluster != nil:
		return strings.Join(t.cluster.Addrs, ", ")
	}
	return t.single.Addr
}

// User is whom the connections are of.
func (t *Target) User() string {
	user := ""
	switch {
	case t.failover != nil:
		user = t.failover.Username
	case t.cluster != nil:
		user = t.cluster.Username
	default:
		user = t.single.Username
	}
	return cmp.Or(user, "default")
}

// Clustered says that it is a Redis Cluster, whose clients are *redis.ClusterClient; all others are
// *redis.Client.
func (t *Target) Clustered() bool { return t.cluster != nil }

// Client returns a client. It does not connect before it is used, and repeats no command: one whose
// answer was lost may have been carried out. (One of a cluster follows moved slots, and may
// repeat.)
func (t *Target) Client(tune Tuning) redis.UniversalClient {
	switch {
	case t.failover != nil:
		o := *t.failover
		tune.apply(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolSize, &o.Protocol)
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled = -1, 1, true
		return redis.NewFailoverClient(&o)
	case t.cluster != nil:
		o := *t.cluster
		tune.apply(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolSize, &o.Protocol)
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled = -1, 1, true
		o.MaxRedirects = 8
		return redis.NewClusterClient(&o)
	}
	o := *t.single
	tune.apply(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolSize, &o.Protocol)
	o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled = -1, 1, true
	return redis.NewClient(&o)
}

// Master asks the Sentinels for the address of the master. It is empty where there are none.
func (t *Target) Master(ctx context.Context) (string, error) {
	if t.failover == nil {
		return "", nil
	}
	var errs []error
	for _, address := range t.failover.SentinelAddrs {
		o := t.failover
		sentinel := redis.NewSentinelClient(&redis.Options{Addr: address, Username: o.SentinelUsername, Password: o.SentinelPassword,
			TLSConfig: o.TLSConfig, Protocol: 2, MaxRetries: -1, DialerRetries: 1, PoolSize: 1, ContextTimeoutEnabled: true})
		found, err := sentinel.GetMasterAddrByName(ctx, o.MasterName).Result()
		sentinel.Close()
		if err == nil && len(found) == 2 {
			return net.JoinHostPort(found[0], found[1]), nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("ask the Sentinels for %s: %w", t.failover.MasterName, errors.Join(errs...))
}

// At returns a client of one server of a cluster, by its address.
func (t *Target) At(address string, tune Tuning) *redis.Client {
	c := t.cluster
	one := Target{single: &redis.Options{Addr: address, Username: c.Username, Password: c.Password, TLSConfig: c.TLSConfig,
		ClientName: c.ClientName, Protocol: c.Protocol}}
	return one.Client(tune).(*redis.Client)
}

// setLogger guards go-redis's logger, which is one for the whole program: that of the first Find.
var setLogger sync.Once

// libraryLog takes what go-redis logs besides the errors that it returns.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "go-redis", "said", fmt.Sprintf(format, args...))
}
