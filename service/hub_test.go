package service

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"menshen/model"
)

// closed reports whether the channel is closed.
func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// listen listens without a call to be woken by.
func (h *Hub) listen(sessionID string) (ended <-chan struct{}, leave func()) {
	l := h.subscribe(model.Claims{SessionID: sessionID})
	return l.ended, func() { h.unsubscribe(l) }
}

func TestHubNotifiesListeners(t *testing.T) {
	h := NewHub()
	first, leaveFirst := h.listen("S")
	second, leaveSecond := h.listen("S")
	other, leaveOther := h.listen("T")
	h.Notify("S")
	h.Notify("nobody's")
	if !closed(first) || !closed(second) {
		t.Error("a listener was not told")
	}
	if closed(other) {
		t.Error("a listener was told of another session")
	}
	h.Notify("S") // listeners that know need no second notification
	late, leaveLate := h.listen("S")
	if closed(late) {
		t.Error("an end was told to who came after it")
	}
	for _, leave := range []func(){leaveFirst, leaveSecond, leaveOther, leaveLate, leaveFirst} {
		leave()
	}
	h.Notify("S")
	h.Notify("T")
	if closed(late) || closed(other) {
		t.Error("who left was told")
	}
	if len(h.listeners) != 0 {
		t.Errorf("%d sessions are listened to by nobody", len(h.listeners))
	}
}

// TestHubAnyEnd: every end wakes those who wait for any, once.
func TestHubAnyEnd(t *testing.T) {
	h := NewHub()
	first, second := h.nextEnd(), h.nextEnd()
	if closed(first) || closed(second) {
		t.Error("told before any end")
	}
	if h.Notify("S"); !closed(first) || !closed(second) {
		t.Error("not told of an end")
	}
	third := h.nextEnd()
	if closed(third) {
		t.Error("an end was told to who came after it")
	}
	if h.NotifyAll(); !closed(third) {
		t.Error("not told that ends may have been missed")
	}
}

// TestHubLeave: a listener that leaves takes no other along.
func TestHubLeave(t *testing.T) {
	h := NewHub()
	_, leave := h.listen("S")
	stays, _ := h.listen("S")
	leave()
	if h.Notify("S"); !closed(stays) {
		t.Error("the one who stayed was not told")
	}
	_, leave = h.listen("S")
	h.Notify("S")
	stays, _ = h.listen("S")
	leave()
	if h.Notify("S"); !closed(stays) {
		t.Error("the leaving of one who had been told took along who came later")
	}
}

func TestHubNotifiesAll(t *testing.T) {
	h := NewHub()
	first, leave := h.listen("S")
	second, _ := h.listen("T")
	h.NotifyAll()
	if !closed(first) || !closed(second) || len(h.listeners) != 0 {
		t.Errorf("told: %v, %v; %d sessions are left", closed(first), closed(second), len(h.listeners))
	}
	leave()
	var nobody *Hub
	nobody.Notify("S")
	nobody.NotifyAll()
}

// TestHubLimits: five streams for a user, and a bound for all users together.
func TestHubLimits(t *testing.T) {
	h := NewHub()
	var leaves []func()
	refused := 0
	for range 40 {
		leave, err := h.open(7, &listener{}, nil)
		if errors.Is(err, model.ErrTooMany) {
			refused++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	if len(leaves) != streamsPerUser || streamsPerUser != 5 || refused != 35 || h.Streams() != 5 {
		t.Errorf("%d streams of 40 came in, %d were refused, %d are open", len(leaves), refused, h.Streams())
	}
	if _, err := h.open(8, &listener{}, nil); err != nil {
		t.Errorf("another user was refused: %v", err)
	}
	leaves[0]()
	if _, err := h.open(7, &listener{}, nil); err != nil {
		t.Errorf("refused after another had left: %v", err)
	}
	if _, err := h.open(7, &listener{}, nil); !errors.Is(err, model.ErrTooMany) {
		t.Errorf("the sixth: %v", err)
	}
}

func TestHubLimitOfAll(t *testing.T) {
	h := NewHub()
	var leaves []func()
	for user := range int64(streamsInAll) {
		leave, err := h.open(user, &listener{}, nil)
		if err != nil {
			t.Fatalf("stream %d: %v", user, err)
		}
		leaves = append(leaves, leave)
	}
	if _, err := h.open(-1, &listener{}, nil); !errors.Is(err, model.ErrTooMany) || h.Streams() != streamsInAll {
		t.Errorf("one too many of %d: %v", h.Streams(), err)
	}
	leaves[0]()
	if _, err := h.open(-1, &listener{}, nil); err != nil {
		t.Errorf("refused after another had left: %v", err)
	}
	for _, leave := range leaves[1:] {
		leave()
	}
	if h.Streams() != 1 || len(h.streams) != 1 {
		t.Errorf("%d streams of %d users are open, want one", h.Streams(), len(h.streams))
	}
}

func TestHubStop(t *testing.T) {
	h := NewHub()
	if closed(h.stopped) {
		t.Fatal("stopped before Stop")
	}
	ended, _ := h.listen("S")
	h.Stop()
	h.Stop() // twice is once
	if !closed(h.stopped) || closed(ended) {
		t.Errorf("stopped: %v; told of an end: %v", closed(h.stopped), closed(ended))
	}
}

// TestHubRace: whatever happens at once, each listener that stays is notified once
// and nothing is left over.
func TestHubRace(t *testing.T) {
	h := NewHub()
	var told atomic.Int64
	Together(64, func(i int) {
		sessions := []string{"S", "T", "U"}
		for n := range 200 {
			id := sessions[(i+n)%3]
			switch i % 4 {
			case 0:
				h.Notify(id)
			case 1:
				ended, leave := h.listen(id)
				if n%2 == 0 {
					h.Notify(id)
				} else {
					h.NotifyAll()
				}
				<-ended
				told.Add(1)
				leave()
			case 2:
				_, leave := h.listen(id)
				leave()
			default:
				if leave, err := h.open(int64(i), &listener{}, nil); err == nil {
					leave()
				}
			}
		}
	})
	if told.Load() != 16*200 || h.Streams() != 0 || len(h.listeners) != 0 {
		t.Errorf("%d were told; %d streams and %d sessions are left", told.Load(), h.Streams(), len(h.listeners))
	}
}

// TestHubRouse: who is to be woken is woken after the channel says why, of its
// own session's end and of a stop alone.
func TestHubRouse(t *testing.T) {
	for name, tt := range map[string]struct {
		happens func(h *Hub)
		ended   int
		stopped int
	}{
		"its end":       {func(h *Hub) { h.Notify("S"); h.Notify("S") }, 1, 0},
		"any end":       {func(h *Hub) { h.NotifyAll(); h.NotifyAll() }, 1, 0},
		"another's end": {func(h *Hub) { h.Notify("T") }, 0, 0},
		"a stop":        {func(h *Hub) { h.Stop(); h.Stop() }, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := NewHub()
			l, gone := h.subscribe(model.Claims{SessionID: "S"}), h.subscribe(model.Claims{SessionID: "S"})
			h.onWake(gone, func() { t.Error("who left was woken") })
			h.unsubscribe(gone)
			h.subscribe(model.Claims{SessionID: "S"}) // has no call to be woken by
			var ended, stopped int
			h.onWake(l, func() {
				if closed(l.ended) {
					ended++
				}
				if closed(h.stopped) {
					stopped++
				}
			})
			tt.happens(h)
			if ended != tt.ended || stopped != tt.stopped {
				t.Errorf("woken %d times with the end told, %d times with the stop", ended, stopped)
			}
		})
	}
}

// TestHubWait: Wait returns when the last stream is over, or when its context
// ends.
func TestHubWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub()
		if err := h.Wait(t.Context()); err != nil {
			t.Errorf("for none: %v", err)
		}
		began := time.Now()
		for i := range 5 { // two leave at one time
			leave, err := h.open(int64(i), &listener{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Duration(i/2)*time.Second, leave)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second+1)
		defer cancel()
		if err := h.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second+1 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := h.Wait(t.Context()); err != nil || time.Since(began) != 2*time.Second || h.Streams() != 0 {
			t.Errorf("after %v: %v; %d streams are open", time.Since(began), err, h.Streams())
		}
	})
}

// TestHubHold: at most heldPerSession checks of one session are held, and at most
// heldInAll in all. A check that leaves makes room, once.
func TestHubHold(t *testing.T) {
	h := NewHub()
	hold := func(session string) (leave func()) { // nil: there is no room
		l := h.hold(model.Claims{SessionID: session})
		if l == nil {
			return nil
		}
		return func() { h.unsubscribe(l) }
	}
	var leaves []func()
	for range heldPerSession {
		leave := hold("S")
		if leave == nil {
			t.Fatalf("no room after %d", len(leaves))
		}
		leaves = append(leaves, leave)
	}
	if hold("S") != nil {
		t.Error("one too many of a session is held")
	}
	if leave := hold("T"); leave == nil {
		t.Error("another session's is not held")
	} else {
		leave()
	}
	leaves[0]()
	if hold("S") == nil {
		t.Error("not held after another had left")
	}
	for n := h.held; n < heldInAll; n++ {
		if hold(strconv.Itoa(n)) == nil {
			t.Fatalf("no room after %d", n)
		}
	}
	if hold("U") != nil || h.held != heldInAll {
		t.Errorf("one too many of %d is held", h.held)
	}
	if _, err := h.open(7, &listener{}, nil); err != nil {
		t.Errorf("held checks take the place of streams: %v", err)
	}
	h.Notify("S") // a notified check still counts, until it leaves
	if hold("U") != nil {
		t.Error("held beside one that has not left yet")
	}
	leaves[1]()
	if hold("U") == nil {
		t.Error("not held after one had left that was told")
	}
}
