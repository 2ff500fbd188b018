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

	"github.com/zonecast/zonecast/backend/internal/bus"
)

const (
	// questionChannel, after the prefix, carries questions to all instances.
	questionChannel = ":questions"
	// answersPrefix, after the prefix and before the question's id, is the list that the answers
	// are pushed to.
	answersPrefix = ":answers:"
	// answerTimeout bounds how long an instance works on an answer, and how long an answer is kept.
	answerTimeout = 10 * time.Second
	// maxAnswering is how many questions an instance answers at once; more go unanswered. maxAsking
	// is how many it may have open at once; more wait.
	maxAnswering, maxAsking = 8, 8
	// reconnectPause is between two attempts to subscribe to questions.
	reconnectPause = 500 * time.Millisecond
	// silenceTimeout is the silence after which the subscription is pinged, and then the timeout of
	// the answer.
	silenceTimeout = 5 * time.Second
)

// answerScript pushes an answer. ARGV: the answer, for how many ms it is kept.
var answerScript = redis.NewScript(evenWhenFull + `
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
`)

// An envelope is a question as it is put.
type envelope struct {
	ID   string `json:"id"`
	From string `json:"from"` // the asking process, which answers itself
	Question
}

// Ask implements [Cluster].
func (c *Redis) Ask(ctx context.Context, q Question) Answers {
	select {
	case c.askSlots <- struct{}{}:
		defer func() { <-c.askSlots }()
	case <-ctx.Done():
	}
	view, me := c.View(), c.node()
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
		if failed = c.publishQuestion(ctx, asked); failed != nil {
			answers.Incomplete = "Redis is not available, so other instances were not asked"
		} else {
			defer c.deleteAnswers(asked.ID)
		}
	}
	answers.add(c.answer.answer(ctx, me.Name, q)) // while the others work on it
	for len(open) > 0 && failed == nil {
		var id string
		var one Answer
		id, one, failed = c.nextAnswer(ctx, asked.ID)
		if errors.Is(failed, errRefused) {
			failed = nil
			continue
		}
		if failed != nil {
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

func (c *Redis) publishQuestion(ctx context.Context, e envelope) error {
	p, err := json.Marshal(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	return c.client.Publish(ctx, c.prefix+questionChannel, c.signer.Seal(bus.Question, "", string(p))).Err()
}

// An answerEnvelope is an answer as it is pushed.
type answerEnvelope struct {
	ID string `json:"id"` // of the process that answers
	Answer
}

// nextAnswer waits for the next answer.
func (c *Redis) nextAnswer(ctx context.Context, question string) (id string, a Answer, err error) {
	wait := commandTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline)
	}
	if wait <= 0 {
		return "", Answer{}, context.DeadlineExceeded
	}
	popped, err := c.waiter.BLPop(ctx, wait, c.prefix+answersPrefix+question).Result()
	if err != nil {
		return "", Answer{}, err
	}
	if len(popped) != 2 {
		return "", Answer{}, errors.New("cluster: unexpected answer of BLPOP")
	}
	e, err := c.openAnswer(question, popped[1])
	if err != nil {
		c.refuse(bus.Answer, err)
		return "", Answer{}, errRefused
	}
	return e.ID, e.Answer, nil
}

// deleteAnswers deletes answers that came too late. Those that come even later expire.
func (c *Redis) deleteAnswers(question string) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	c.client.Del(ctx, c.prefix+answersPrefix+question)
}

// answerQuestions answers the questions of others, and receives which of their rooms are behind,
// until ctx ends. Questions that come while the connection is lost go unanswered.
func (c *Redis) answerQuestions(ctx context.Context) {
	var working sync.WaitGroup
	defer working.Wait()
	busy := make(chan struct{}, maxAnswering)
	for ctx.Err() == nil {
		err := c.receiveQuestions(ctx, func(e envelope) {
			select {
			case busy <- struct{}{}:
			default:
				c.log.Warn("question not answered: too many at once", "kind", e.Kind)
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
		c.log.Debug("subscription to questions lost", "error", err)
		select {
		case <-time.After(reconnectPause):
		case <-ctx.Done():
		}
	}
}

// receiveQuestions passes questions to answer until the connection is lost.
func (c *Redis) receiveQuestions(ctx context.Context, answer func(envelope)) error {
	pubsub := c.client.Subscribe(ctx, c.prefix+questionChannel, c.prefix+overloadedRooms)
	defer pubsub.Close()
	// Waiting for a message does not end with the context.
	defer context.AfterFunc(ctx, func() { pubsub.Close() })()
	for ctx.Err() == nil {
		// Silence is normal; a ping finds out whether the connection still works.
		message, err := pubsub.ReceiveTimeout(ctx, silenceTimeout)
		if timeout(err) {
			if err = pubsub.Ping(ctx); err == nil {
				message, err = pubsub.ReceiveTimeout(ctx, silenceTimeout)
			}
		}
		if err != nil {
			return err
		}
		m, ok := message.(*redis.Message)
		if !ok {
			continue
		}
		if m.Channel == c.prefix+overloadedRooms {
			c.receiveAnnouncement(m.Payload)
			continue
		}
		e, err := c.openQuestion(m.Payload)
		if err != nil {
			c.refuse(bus.Question, err)
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
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	p, err := json.Marshal(answerEnvelope{c.id, c.answer.answer(ctx, c.self().Name, e.Question)})
	if err != nil {
		c.log.Error("answer can't be encoded", "kind", e.Kind, "error", err)
		return
	}
	err = answerScript.Run(ctx, c.client, []string{c.prefix + answersPrefix + e.ID},
		c.signer.Seal(bus.Answer, e.ID, string(p)), answerTimeout.Milliseconds()).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		c.log.Warn("answer not sent", "kind", e.Kind, "error", err)
	}
}
