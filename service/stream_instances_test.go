package service_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository/dbtest"
	"menshen/service"
)

// TestCheckAndWaitBound: a held check that bound the device says so, also when
// it is answered later.
func TestCheckAndWaitBound(t *testing.T) {
	d := newDeployment(t, dbtest.OpenFast(t, "sqlite"), shortLived)
	i := d.start(0)
	p := i.logIn(d.number(), onDevice(0, ""))
	i.sessions.Hub.Stop() // nothing is to be waited for
	got, err := i.sessions.CheckAndWait(t.Context(), p.claims, "d", time.Second, unknownCaller)
	if got.Until = 0; err != nil || got != (service.CheckResult{IsLogin: true, State: service.StateBound}) {
		t.Errorf("%+v, error %v", got, err)
	}
	got, err = i.sessions.CheckAndWait(t.Context(), p.claims, "d", time.Second, unknownCaller)
	if got.Until = 0; err != nil || got != yes(service.StateActive) {
		t.Errorf("%+v, error %v", got, err)
	}
}

// TestCheckAndWaitTurns: a held check turns when the session ends on the same
// instance, at once, and on another, by the log.
func TestCheckAndWaitTurns(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		for _, where := range []string{"here", "there"} {
			t.Run(where, func(t *testing.T) {
				here, there := d.start(0), d.start(0)
				number := d.number()
				p := here.logIn(number, onDevice(0, "d"))
				here.poll(t)
				here.wantState(t, p, "d", service.StateActive) // from now on it is remembered
				answered := make(chan service.CheckResult)
				go func() {
					result, err := here.sessions.CheckAndWait(t.Context(), p.claims, "d", 30*time.Second, unknownCaller)
					if err != nil {
						t.Error(err)
					}
					answered <- result
				}()
				here.awaitListener(p.session)
				if where == "here" {
					here.logIn(number, onDevice(0, "other"))
				} else {
					there.logIn(number, onDevice(0, "other"))
					select {
					case result := <-answered:
						t.Fatalf("answered without the log: %+v", result)
					default:
					}
					here.poll(t)
				}
				if result := <-answered; result.IsLogin || result.State != service.LoginState(model.ReasonDisplaced) || result.LastLoginTime == 0 {
					t.Errorf("%+v", result)
				}
			})
		}
	})
}

// awaitListener waits until a listener waits for the end of the session.
func (i *instance) awaitListener(session string) {
	for i.sessions.Hub.Listeners(session) == 0 {
		runtime.Gosched()
	}
}

// TestFollow: which sessions a stream is opened on, and which end it reports.
func TestFollow(t *testing.T) {
	const tokenLife = 4 * time.Minute // of product 2, shorter than shortIdle
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		p := i.logIn(d.number(), onDevice(2, "d"))
		s := i.sessions
		since := model.TimeOf(d.clock.Now())

		stream, err := s.Follow(t.Context(), p.claims)
		if err != nil {
			t.Fatal(err)
		}
		wantEnding(t, stream, nil)
		if _, left, err := stream.State(t.Context()); left != tokenLife-678*time.Millisecond+time.Millisecond {
			t.Errorf("the state is to be read again after %v, error %v, want the token's end", left, err)
		}
		if stream.EndedBefore != nil || stream.CheckIn != tokenLife-678*time.Millisecond+time.Millisecond {
			t.Errorf("opened with %+v and %v left", stream.EndedBefore, stream.CheckIn)
		}
		if isClosed(stream.Ended) || isClosed(stream.Stopped) || s.Hub.Streams() != 1 {
			t.Errorf("ended: %v, stopped: %v, %d streams", isClosed(stream.Ended), isClosed(stream.Stopped), s.Hub.Streams())
		}
		if d.count("SELECT COUNT(*) FROM sessions WHERE confirmed = 1") != 1 {
			t.Error("to open a stream is no use of the token")
		}

		d.clock.Advance(tokenLife)
		if _, left, err := stream.State(t.Context()); left != 0 || err != nil {
			t.Errorf("with an expired token: %v left, error %v", left, err)
		}
		_, err = s.Follow(t.Context(), p.claims)
		wantFailure(t, err, model.ErrTokenExpired)

		d.clock.Advance(-tokenLife)
		mustEnd(t, 1)(i.admin.Kick(t.Context(), root, p.user, service.KickTarget{}, "x"))
		want := &service.Ended{Reason: model.ReasonKicked, LastLoginTime: since}
		if !isClosed(stream.Ended) {
			t.Error("the stream was not told")
		}
		wantEnding(t, stream, want)
		stream.Leave()

		d.clock.Advance(tokenLife) // with an expired token too
		late, err := s.Follow(t.Context(), p.claims)
		if err != nil {
			t.Fatal(err)
		}
		wantEnding(t, late, want)
		if late.EndedBefore == nil || *late.EndedBefore != *want {
			t.Errorf("opened with %+v, want %+v", late.EndedBefore, want)
		}
		late.Leave()

		q := i.logIn(d.number(), onDevice(2, "e"))
		foreign := q.claims
		foreign.UserID++
		gone, err := s.Follow(t.Context(), foreign) // signed, yet the row says otherwise
		if err != nil {
			t.Fatal(err)
		}
		wantEnding(t, gone, &service.Ended{Reason: model.ReasonExpired})
		gone.Leave()

		s.Hub.Stop()
		stopped, err := s.Follow(t.Context(), q.claims)
		if err != nil || !isClosed(stopped.Stopped) {
			t.Errorf("after the stop: error %v", err)
		}
		stopped.Leave()
		if s.Hub.Streams() != 0 || s.Hub.Listeners("") != 0 {
			t.Errorf("%d streams and %d sessions are left", s.Hub.Streams(), s.Hub.Listeners(""))
		}
	})
}

// TestWithinReportsCommittedEnds: a transaction that is undone notifies no
// listener; one that ran twice notifies only of what its last run did.
func TestWithinReportsCommittedEnds(t *testing.T) {
	d := newDeployment(t, dbtest.OpenFast(t, "sqlite"), shortLived)
	i := d.start(0)
	s := i.sessions
	no := errors.New("no")
	undone, again, done := newWatch(s.Hub, "UNDONE"), newWatch(s.Hub, "AGAIN"), newWatch(s.Hub, "DONE")
	err := s.Within(t.Context(), func(ctx context.Context) error { return errors.Join(s.RecordEnd(ctx, "UNDONE"), no) })
	if !errors.Is(err, no) {
		t.Errorf("error %v", err)
	}
	s.Tx = twice{s.Tx}
	runs := 0
	err = s.Within(t.Context(), func(ctx context.Context) error {
		if runs++; runs == 1 {
			return s.RecordEnd(ctx, "AGAIN")
		}
		return s.RecordEnd(ctx, "DONE")
	})
	if err != nil || undone.count() != 0 || again.count() != 0 || done.count() != 1 {
		t.Errorf("error %v; told: %d undone, %d again, %d done", err, undone.count(), again.count(), done.count())
	}
	if s.RecordEnd(t.Context(), "S") == nil {
		t.Error("an end outside of Within passed")
	}
}

// twice runs each act twice, as after a lost race.
type twice struct{ service.Tx }

func (t twice) Within(ctx context.Context, act func(ctx context.Context) error) error {
	return t.Tx.Within(ctx, func(ctx context.Context) error {
		if err := act(ctx); err != nil {
			return err
		}
		return act(ctx)
	})
}

func wantEnding(t *testing.T, stream service.Stream, want *service.Ended) {
	t.Helper()
	got, _, err := stream.State(t.Context())
	if err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
		t.Errorf("the state is %+v, error %v, want %+v", got, err, want)
	}
}

// isClosed reports whether the channel is closed.
func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// An unknown caller: all fields are empty.
func unknownCaller() model.Caller { return model.Caller{} }
