package conformance

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"menshen/model"
)

// Times of the service.
const (
	untilExpiry = 16 * time.Minute    // an access token lives for 15m
	untilSettle = time.Minute         // token.reuse_grace is 30s
	untilAsleep = 15 * 24 * time.Hour // token.idle_ttl is 14 days
	day         = 24 * time.Hour
)

// later moves the clock of the service.
func later(d time.Duration) step {
	return func(_ context.Context, s *stage) error {
		s.program.ahead.Add(int64(d))
		return nil
	}
}

// otherPhoneLogsIn logs alice in on a phone that is none of the client's.
func otherPhoneLogsIn(ctx context.Context, s *stage) error {
	return s.program.otherLogin(ctx, s.number(alice))
}

// operator does something to the user of the newest login.
func operator(act string) step {
	return func(ctx context.Context, s *stage) error {
		return s.program.operator(ctx, act, s.gate.current().user)
	}
}

// strangerReplays sends the pair of the login once more, as a thief would.
func strangerReplays(ctx context.Context, s *stage) error {
	l := s.gate.current()
	_, err := s.program.ask(ctx, s.program.public+"/app/auth/token/refresh", "", map[string]string{"accessToken": l.access, "refreshToken": l.refresh})
	return err
}

// next makes something happen to the next n requests of a route.
func next(n int, on route, act fault) step {
	return func(_ context.Context, s *stage) error {
		s.gate.add(n, on, act)
		return nil
	}
}

// always makes something happen to all requests of a route, until wellAgain.
func always(on route, act fault) step { return next(-1, on, act) }

// noNetwork resets all connections until wellAgain.
func noNetwork(ctx context.Context, s *stage) error {
	for _, on := range []route{onCode, onLogin, onRefresh, onLogout, onPush, onCheck, onCall, onOther} {
		s.gate.add(-1, on, reset)
	}
	s.gate.cutStreams()
	return ctx.Err()
}

// wellAgain ends what next, always and noNetwork began.
func wellAgain(ctx context.Context, s *stage) error {
	s.gate.clear()
	return ctx.Err()
}

// holdsRequest keeps the next request of a route from the service until the doorway opens.
func holdsRequest(on route, door string) step {
	return func(ctx context.Context, s *stage) error { return next(1, on, s.door(door).holdRequest)(ctx, s) }
}

// holdsAnswer keeps the answer to the next request of a route from the client until the
// doorway opens.
func holdsAnswer(on route, door string) step {
	return func(ctx context.Context, s *stage) error { return next(1, on, s.door(door).holdAnswer)(ctx, s) }
}

// opensDoor lets through what a doorway holds.
func opensDoor(name string) step {
	return func(ctx context.Context, s *stage) error {
		door := s.door(name)
		door.once.Do(func() { close(door.open) })
		return ctx.Err()
	}
}

// beforeNext plays a step when the next request of a route has arrived, before the service
// sees it.
func beforeNext(on route, first step) step {
	return func(ctx context.Context, s *stage) error {
		return next(1, on, func(x *exchange) {
			if err := first(ctx, s); err != nil {
				x.drop(err.Error())
				return
			}
			x.pass()
		})(ctx, s)
	}
}

// nextRedirected leads the next request of a route to another site.
func nextRedirected(on route, status int) step {
	return func(ctx context.Context, s *stage) error {
		return next(1, on, func(x *exchange) {
			x.write(response{status, http.Header{"Location": {s.other.url + "/portal"}}, nil})
		})(ctx, s)
	}
}

// cutsStreams ends all open pushes without an answer.
func cutsStreams(ctx context.Context, s *stage) error {
	s.gate.cutStreams()
	return ctx.Err()
}

// fromHere makes the expectations that follow be about the requests that follow.
func fromHere(ctx context.Context, s *stage) error {
	s.mark = s.gate.size()
	return ctx.Err()
}

// awaits waits until n requests of a route have arrived.
func awaits(on route, n int) step {
	return func(ctx context.Context, s *stage) error {
		if !s.gate.await(ctx, on, s.mark, n) {
			return unmet{fmt.Sprintf("a %s", on), fmt.Sprintf("%d of %d within %s", len(s.gate.seen(on, s.mark)), n, patience)}
		}
		return nil
	}
}

// awaitsNewest waits until a request of a route bears the session's newest token.
func awaitsNewest(on route) step {
	return func(ctx context.Context, s *stage) error {
		for n := 1; ; n++ {
			if err := awaits(on, n)(ctx, s); err != nil {
				return err
			}
			_, newest, err := s.program.session(ctx, s.gate.current().sid)
			if err != nil || claimsOf(s.gate.seen(on, s.mark)[n-1].bearer).Gen == newest {
				return err
			}
		}
	}
}

// Refusals that are rows of no table: a later version may have them.
var (
	laterTemporary = &model.Failure{Code: 50399, Zh: "稍后再试", En: "Please try again later."}
	laterReason    = model.ErrSessionEnded.With(map[string]any{"reason": "eclipse", "lastLoginTime": nil, "by": map[string]string{"kind": "moon"}})
	rateLimited    = model.ErrTooMany.After(2 * time.Second)
)
