package stack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

const slots = 16384

func (s *Stack) startClustered(ctx context.Context) error {
	const masters = 3
	var bus []int
	for n := range 2 * masters {
		port, err := s.hold()
		if err != nil {
			return err
		}
		bus = append(bus, port.number)
		if _, err := s.startServer(ctx, fmt.Sprint("redis-", n+1), nil, "--cluster-enabled", "yes", "--cluster-port",
			strconv.Itoa(port.number), "--cluster-node-timeout", "1500", "--cluster-replica-validity-factor", "0",
			"--repl-diskless-sync-delay", "0"); err != nil {
			return err
		}
	}
	for n, r := range s.Redises {
		if n < masters {
			if _, err := r.Command(ctx, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", n*slots/masters, (n+1)*slots/masters-1)); err != nil {
				return err
			}
		}
		host, port, _ := strings.Cut(s.Redises[0].Address, ":")
		if _, err := r.Command(ctx, fmt.Sprintf("CLUSTER MEET %s %s %d", host, port, bus[0])); err != nil {
			return err
		}
	}
	for n, r := range s.Redises[masters:] {
		id, err := s.Redises[n].Command(ctx, "CLUSTER MYID")
		if err != nil {
			return err
		}
		if err := s.await(ctx, r.Name()+" follows its master", func() error {
			_, err := r.Command(ctx, "CLUSTER REPLICATE "+id)
			return err
		}); err != nil {
			return err
		}
	}
	s.RedisURL = s.Redises[0].URL
	return s.await(ctx, "the cluster works", s.works(ctx))
}

// works fails until each server sees a working cluster of six, and each replica has its master's
// data.
func (s *Stack) works(ctx context.Context) func() error {
	return func() error {
		for _, r := range s.Redises {
			info, err := r.Command(ctx, "CLUSTER INFO")
			if err != nil {
				return err
			}
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprint("cluster_known_nodes:", len(s.Redises))) {
				return fmt.Errorf("%s: %s", r.Name(), info)
			}
			info, err = r.Command(ctx, "INFO replication")
			if err != nil {
				return err
			}
			if strings.Contains(info, "role:slave") && !strings.Contains(info, "master_link_status:up") ||
				strings.Contains(info, "role:master") && !strings.Contains(info, "connected_slaves:1") {
				return fmt.Errorf("%s: %s", r.Name(), info)
			}
		}
		return nil
	}
}

// Owner returns the server of the cluster that holds the key's slot, as the servers that are there
// see it, and the slot.
func (s *Stack) Owner(ctx context.Context, key string) (*Redis, int, error) {
	var errs []error
	for _, r := range s.Redises {
		if r.PID() == 0 {
			continue
		}
		owner, slot, err := s.ownerAt(ctx, r, key)
		if err == nil {
			return owner, slot, nil
		}
		errs = append(errs, err)
	}
	return nil, 0, errors.Join(errs...)
}

func (s *Stack) ownerAt(ctx context.Context, r *Redis, key string) (*Redis, int, error) {
	client := r.client()
	defer client.Close()
	slot, err := client.ClusterKeySlot(ctx, key).Result()
	if err != nil {
		return nil, 0, err
	}
	shards, err := client.ClusterShards(ctx).Result()
	if err != nil {
		return nil, 0, err
	}
	holds := func(r redis.SlotRange) bool { return r.Start <= slot && slot <= r.End }
	for _, shard := range shards {
		for _, node := range shard.Nodes {
			if node.Role != "master" || node.Health != "online" || !slices.ContainsFunc(shard.Slots, holds) {
				continue
			}
			address := fmt.Sprintf("%s:%d", node.IP, node.Port)
			if n := slices.IndexFunc(s.Redises, func(r *Redis) bool { return r.Address == address }); n >= 0 {
				return s.Redises[n], int(slot), nil
			}
		}
	}
	return nil, 0, fmt.Errorf("%s: nobody holds slot %d: %+v", r.Name(), slot, shards)
}

// MoveSlot moves a slot and its keys to another master, as redis-cli --cluster reshard does.
func (s *Stack) MoveSlot(ctx context.Context, slot int, from, to *Redis) error {
	m, err := s.BeginMove(ctx, slot, from, to)
	if err != nil {
		return err
	}
	if err := m.Keys(ctx); err != nil {
		return err
	}
	return m.End(ctx)
}

// A Move is a slot on its way.
type Move struct {
	slot     int
	from, to *Redis
	id       string // of to
}

// BeginMove announces that a slot moves; none of its keys does yet.
func (s *Stack) BeginMove(ctx context.Context, slot int, from, to *Redis) (*Move, error) {
	fromID, err := from.Command(ctx, "CLUSTER MYID")
	if err != nil {
		return nil, err
	}
	toID, err := to.Command(ctx, "CLUSTER MYID")
	if err != nil {
		return nil, err
	}
	if _, err := to.Command(ctx, fmt.Sprintf("CLUSTER SETSLOT %d IMPORTING %s", slot, fromID)); err != nil {
		return nil, err
	}
	_, err = from.Command(ctx, fmt.Sprintf("CLUSTER SETSLOT %d MIGRATING %s", slot, toID))
	return &Move{slot, from, to, toID}, err
}

// Keys moves the slot's keys.
func (m *Move) Keys(ctx context.Context) error {
	host, port, _ := strings.Cut(m.to.Address, ":")
	for {
		key, err := m.from.Command(ctx, fmt.Sprintf("CLUSTER GETKEYSINSLOT %d 1", m.slot))
		if err != nil || key == "" {
			return err
		}
		if _, err := m.from.Command(ctx, fmt.Sprintf("MIGRATE %s %s %s 0 5000", host, port, key)); err != nil {
			return err
		}
	}
}

// End says where the slot is.
func (m *Move) End(ctx context.Context) error {
	for _, r := range []*Redis{m.to, m.from} {
		if _, err := r.Command(ctx, fmt.Sprintf("CLUSTER SETSLOT %d NODE %s", m.slot, m.id)); err != nil {
			return err
		}
	}
	return nil
}
