package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// The back end that reads the feed.
const (
	clientID     = "e2e-client"
	clientSecret = "e2e-client-secret-0123456789-0123456789"
)

// withClient lets the back end in.
const withClient = `CLIENTS=[{"id":"` + clientID + `","secret":"` + clientSecret + `"}]`

// follower reads the feed as a back end does: it asks on from where it was.
type follower struct {
	cursor string
	heard  map[string]int // how often it heard of a session
}

// follow reads one page, which must succeed.
func (f *follower) follow(t *testing.T, i *instance, wait int) {
	t.Helper()
	query := url.Values{"since": {f.cursor}, "wait": {fmt.Sprint(wait)}}
	request, err := request{path: "/internal/revocations?" + query.Encode(), client: clientID + ":" + clientSecret}.http(context.Background(), i.admin)
	if err != nil {
		t.Fatal(err)
	}
	client := *i.d.client
	client.Timeout = 2 * callTime
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	var answer struct {
		Code int32
		Data struct {
			Items []struct{ Sid string }
			Next  string
		}
	}
	if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(text, &answer) != nil {
		t.Fatalf("the feed of %s answers %d %s, error %v", i.name, response.StatusCode, text, err)
	}
	f.cursor = answer.Data.Next
	for _, item := range answer.Data.Items {
		f.heard[item.Sid]++
	}
}

// awaitRevocation reads until the session appears, and returns how long that took.
func (f *follower) awaitRevocation(t *testing.T, i *instance, s *session) time.Duration {
	t.Helper()
	begin := time.Now()
	for f.heard[s.id] == 0 {
		if time.Since(begin) > stopTime {
			t.Fatalf("%s has not told of %s within %s", i.name, s.id, stopTime)
		}
		f.follow(t, i, 5)
	}
	return time.Since(begin)
}

// TestFeed: a back end reads on one instance what was done on the other within a
// second, however long the transaction was open; its cursor is valid on every
// instance and after a restart.
func TestFeed(t *testing.T) {
	t.Parallel()
	a, b := startTwo(t, withClient)
	d := a.d
	f := &follower{heard: map[string]int{}}
	var told []*session
	t.Run("ends here are told here and there", func(t *testing.T) {
		var took delays
		for n := range 10 {
			s := a.login(t, "", "device")
			told = append(told, s)
			held := make(chan time.Duration, 1)
			reader := []*instance{a, b}[n%2]
			go func() { defer close(held); held <- f.awaitRevocation(t, reader, s) }()
			a.kick(t, s)
			kicked := time.Now()
			<-held
			took = append(took, time.Since(kicked))
			if late := time.Since(kicked); late > visible {
				t.Errorf("%s told after %s", reader.name, late)
			}
		}
		t.Logf("told after %s", took)
	})
	t.Run("a commit that was hidden", func(t *testing.T) {
		db := d.sql(t)
		for _, open := range []time.Duration{0, time.Second, 3 * time.Second, 5 * time.Second} {
			hidden := a.login(t, "", "device")
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			for _, statement := range []string{
				"UPDATE sessions SET active_slot = NULL, ended_at = ?, end_reason = 'kicked', ended_by = 'e2e' WHERE id = ?",
				"INSERT INTO events (at, kind, session_id, user_id, actor, ip, device, request_id, detail) VALUES (?, 'kick', ?, 1, 'e2e', '', '', '', '')",
			} {
				if _, err := tx.ExecContext(t.Context(), statement, begin.UnixMilli(), hidden.id); err != nil {
					t.Fatal(err)
				}
			}
			for others := 0; others == 0 || time.Since(begin) < open; others++ {
				other := b.login(t, "", "device") // ended later, told earlier
				b.kick(t, other)
				f.awaitRevocation(t, a, other)
				told = append(told, other)
			}
			if f.heard[hidden.id] != 0 {
				t.Error("told before the commit")
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			told = append(told, hidden)
			if took := f.awaitRevocation(t, b, hidden); took > visible {
				t.Errorf("open for %s: told after %s", open, took)
			}
		}
	})
	s := a.login(t, "", "device")
	told = append(told, s)
	a.kick(t, s)
	a.kill(t)
	b.stop(t)
	a, b = d.spawn(t, "a"), d.spawn(t, "b")
	a.awaitServing(t)
	b.awaitServing(t)
	f.awaitRevocation(t, b, s)
	for n := 0; n < 2; n++ {
		f.follow(t, []*instance{a, b}[n], 0)
	}
	for _, s := range told {
		if f.heard[s.id] != 1 {
			t.Errorf("%s was told %d times", s.id, f.heard[s.id])
		}
	}
	if len(f.heard) != len(told) {
		t.Errorf("%d sessions were told, %d have ended", len(f.heard), len(told))
	}
}
