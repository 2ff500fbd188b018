package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// questions is the channel on which questions are put to all instances.
	questions = "zonecast:questions"
	// answersPrefix, with the question's id, is the list that they push their answers to.
	answersPrefix = "zonecast:answers:"
	// answerWithin bounds how long an instance works on an answer, and how long an answer that nobody takes stays.
	answerWithin = 10 * time.Second
	// answering is how many questions an instance answers at once; more are not answered, and so told as missing. asking is how
	// many it may have asked at once; more wait.
	answering, asking = 8, 8
	// listenPause is between two attempts to hear questions.
	listenPause = 500 * time.Millisecond
)

// An envelope is a question as it is put.
type envelope struct {
	ID   string `json:"id"`
	From string `json:"from"` // the asking process, which answers itself
	Question
}

// Ask implements [Cluster].
func (c *Redis) Ask(ctx context.Context, q Question) Answers {
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
	}
	view, me := c.View(), c.me()
	open := map[string]string{} // name by ID of those that have not answered
	for _, n := range view.Nodes {
		if n.ID != c.id {
			open[n.ID] = n.Name
		}
	}
	answers := Answers{Asked: len(open) + 1, Incomplete: view.Incomplete, Missing: slices.Clone(view.Silent)}
	asked := envelope{ID: rand.Text(), From: c.id, Question: q}
	var failed error
	if len(open) > 0 {
		if failed = c.put(ctx, asked); failed != nil {
			answers.Incomplete = "Redis is not available, so other instances were not asked"
		} else {
			defer c.sweep(asked.ID)
		}
	}
	answers.add(c.answer.answer(ctx, me.Name, q)) // while the others work on it
	for len(open) > 0 && failed == nil {
		var id string
		var one Answer
		if id, one, failed = c.take(ctx, asked.ID); failed != nil {
			break
		}
		if _, known := open[id]; !known { // one that is so new that it has not been heard of
			answers.Asked++
		}
		delete(open, id)
		answers.add(one)
	}
	for _, name := range open {
		answers.Missing = append(answers.Missing, name+" (no answer in time)")
	}
	slices.Sort(answers.Missing)
	return answers
}

func (c *Redis) put(ctx context.Context, e envelope) error {
	p, err := json.Marshal(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, every)
	defer cancel()
	return c.client.Publish(ctx, questions, p).Err()
}

// An answerEnvelope is an answer as it is pushed.
type answerEnvelope struct {
	ID string `json:"id"` // of the process that answers
	Answer
}

// take waits for the next answer.
func (c *Redis) take(ctx context.Context, question string) (id string, a Answer, err error) {
	wait := every
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline)
	}
	if wait <= 0 {
		return "", Answer{}, context.DeadlineExceeded
	}
	popped, err := c.waiter.BLPop(ctx, wait, answersPrefix+question).Result()
	if err != nil {
		return "", Answer{}, err
	}
	if len(popped) != 2 {
		return "", Answer{}, errors.New("cluster: unexpected answer of BLPOP")
	}
	var e answerEnvelope
	if err := json.Unmarshal([]byte(popped[1]), &e); err != nil {
		return "", Answer{}, err
	}
	return e.ID, e.Answer, nil
}

// sweep removes the answers that came too late. Those that come even later expire.
func (c *Redis) sweep(question string) {
	ctx, cancel := context.WithTimeout(context.Background(), every)
	defer cancel()
	c.client.Del(ctx, answersPrefix+question)
}

// listen answers the questions of others, and hears which of their rooms are behind, until ctx ends. Questions that are put while the connection is lost are not
// answered, which those who ask are told.
func (c *Redis) listen(ctx context.Context) {
	var working sync.WaitGroup
	defer working.Wait()
	busy := make(chan struct{}, answering)
	for ctx.Err() == nil {
		err := c.hear(ctx, func(e envelope) {
			select {
			case busy <- struct{}{}:
			default:
				c.log.Warn("a question is not answered: too many at once", "kind", e.Kind)
				return
			}
			working.Go(func() {
				defer func() { <-busy }()
				c.reply(ctx, e)
			})
		})
		if ctx.Err() != nil {
			return
		}
		c.log.Debug("questions of other instances are not heard", "error", err)
		select {
		case <-time.After(listenPause):
		case <-ctx.Done():
		}
	}
}

// hear hands on questions until the connection is lost.
func (c *Redis) hear(ctx context.Context, answer func(envelope)) error {
	pubsub := c.client.Subscribe(ctx, questions, overloadedRooms)
	defer pubsub.Close()
	// Waiting for a message does not end with the context.
	defer context.AfterFunc(ctx, func() { pubsub.Close() })()
	for ctx.Err() == nil {
		// Silence is normal; a ping finds out whether the connection still works.
		message, err := pubsub.ReceiveTimeout(ctx, 5*every)
		if timeout(err) {
			if err = pubsub.Ping(ctx); err == nil {
				message, err = pubsub.ReceiveTimeout(ctx, 5*every)
			}
		}
		if err != nil {
			return err
		}
		m, ok := message.(*redis.Message)
		if !ok {
			continue
		}
		if m.Channel == overloadedRooms {
			c.receiveAnnouncement(m.Payload)
			continue
		}
		var e envelope
		if err := json.Unmarshal([]byte(m.Payload), &e); err != nil {
			c.log.Warn("a question is not readable", "error", err)
			continue
		}
		if e.From != c.id {
			answer(e)
		}
	}
	return ctx.Err()
}

func timeout(err error) bool {
	var network interface{ Timeout() bool }
	return errors.As(err, &network) && network.Timeout()
}

func (c *Redis) reply(ctx context.Context, e envelope) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	p, err := json.Marshal(answerEnvelope{c.id, c.answer.answer(ctx, c.self().Name, e.Question)})
	if err != nil {
		c.log.Error("answer", "kind", e.Kind, "error", err)
		return
	}
	key := answersPrefix + e.ID
	pipe := c.client.Pipeline()
	pipe.RPush(ctx, key, p)
	pipe.PExpire(ctx, key, answerWithin)
	if _, err := pipe.Exec(ctx); err != nil {
		c.log.Warn("an answer could not be given", "kind", e.Kind, "error", err)
	}
}
