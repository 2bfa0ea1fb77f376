package main

import (
	"context"
	"errors"
	"time"
)

// table is the check over a table with sessions rows: cold, the first check of
// each session since the start, with a signature and one read by the primary key;
// and warm.
type table struct {
	sessions   int
	cold, warm tally
}

const (
	tableTokens = 1_000
	tableRound  = time.Second
)

// sessionsScenario interleaves the sizes: each round starts a process on each
// table, asks once for tableTokens sessions all over it, and then again and again.
func sessionsScenario(ctx context.Context, s *stage, r *report) error {
	deployments := make([]*deployment, len(r.plan.sessions))
	requests := make([][][]byte, len(deployments))
	for i, size := range r.plan.sessions {
		var err error
		if deployments[i] = r.seeded; size != liveSessions {
			deployments[i], err = s.deploySeeded(ctx, size)
		}
		if err != nil {
			return err
		}
		if requests[i], err = s.signer.requests(tableTokens, size); err != nil {
			return err
		}
		r.tables = append(r.tables, &table{sessions: size})
	}
	for range r.plan.rounds {
		for i, d := range deployments {
			if err := r.tables[i].round(ctx, d, requests[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *table) round(ctx context.Context, d *deployment, requests [][]byte) error {
	p, err := d.start(ctx)
	if err != nil {
		return err
	}
	m := d.meter(p)
	err = t.cold.measured(ctx, m, once(p.addr, writers, requests).closed)
	if err == nil {
		err = t.warm.measured(ctx, m, checks(p.addr, writers, requests, tableRound).closed)
	}
	return errors.Join(err, p.stop())
}

// filled is the memory of a process before and after it has remembered sessions.
type filled struct {
	sessions      int
	before, after int64 // bytes, resident
}

// fillScenario asks for many sessions once.
func fillScenario(ctx context.Context, s *stage, r *report) error {
	n := min(r.plan.fill, liveSessions)
	if n == 0 {
		return nil
	}
	requests, err := s.signer.requests(n, liveSessions)
	if err != nil {
		return err
	}
	p, err := r.seeded.start(ctx)
	if err != nil {
		return err
	}
	r.filled = &filled{sessions: n}
	if r.filled.before, err = residentMemory(p.pid); err != nil {
		return err
	}
	// The patience of a load is for rounds: parts of the requests are one each.
	const part = 20_000
	for rest := requests; len(rest) > 0; {
		n := min(len(rest), part)
		result, err := once(p.addr, writers, rest[:n]).closed(ctx)
		if err = errors.Join(err, result.failure); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if r.filled.after, err = residentMemory(p.pid); err != nil {
		return err
	}
	return p.stop()
}
