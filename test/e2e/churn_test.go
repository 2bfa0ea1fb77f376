package e2e

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"menshen/repository"
)

// footprint is what a process holds when it has nothing to do.
type footprint struct {
	goroutines, descriptors, heap float64
}

func (f footprint) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f descriptors, heap %.2f MB", f.goroutines, f.descriptors, f.heap/1e6)
}

// heapAlloc is a line of the profile of the heap.
var heapAlloc = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)

// goroutineCount is the first line of the profile of goroutines.
var goroutineCount = regexp.MustCompile(`^goroutine profile: total (\d+)\n`)

// emptyCaches is in the metrics when nothing is in the caches.
var emptyCaches = regexp.MustCompile(`(?ms)^menshen_session_cache_entries 0$.*^menshen_token_cache_entries 0$`)

// smallPool is in the metrics when hardly a connection of the database is open.
var smallPool = regexp.MustCompile(`(?m)^go_sql_open_connections\{db_name="write"\} [0-2]$`)

// footprint measures the instance after a garbage collection. Only the connections of
// this call are open.
func (i *instance) footprint(t *testing.T) (f footprint) {
	t.Helper()
	i.d.client.CloseIdleConnections()
	number := func(pattern *regexp.Regexp, path string) float64 {
		a := i.callAdmin(request{path: path})
		found := pattern.FindSubmatch(a.raw)
		if found == nil {
			t.Fatalf("%s: %s", path, a)
		}
		value, _ := strconv.ParseFloat(string(found[1]), 64)
		return value
	}
	f.heap = math.Inf(1)
	for range 3 { // finalizers need a second collection
		f.heap = min(f.heap, number(heapAlloc, "/debug/pprof/heap?gc=1&debug=1"))
	}
	f.goroutines = number(goroutineCount, "/debug/pprof/goroutine?debug=1")
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", i.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	f.descriptors = float64(len(descriptors))
	return f
}

// settledFootprint measures, in a long form with empty caches and a small pool, until the
// goroutines of closed connections have ended: two measurements in a row agree.
func (i *instance) settledFootprint(t *testing.T) footprint {
	t.Helper()
	if soak(0, 1) == 1 { // what users did a minute ago is in the caches: it has a right to be there
		i.shrinkPool(t)
		i.awaitMetrics(t, "the caches are empty", emptyCaches)
	}
	last := i.footprint(t)
	eventually(t, callTime, "the instance is idle", func() bool {
		next := i.footprint(t)
		same := next.goroutines == last.goroutines && next.descriptors == last.descriptors
		last = next
		return same
	})
	return last
}

// shrinkPool waits until most connections of the database have ended and uses all
// statements then: each keeps up to ten connections that are closed, until its next use.
func (i *instance) shrinkPool(t *testing.T) {
	t.Helper()
	if i.d.driver != repository.MySQL {
		return
	}
	i.awaitMetrics(t, "the pool is small", smallPool)
	for range 3 {
		i.comeAndGo(t, i.d.number())
	}
}

func (i *instance) awaitMetrics(t *testing.T, what string, pattern *regexp.Regexp) {
	t.Helper()
	eventually(t, 10*time.Minute, what, func() bool { return pattern.Match(i.callAdmin(request{path: "/metrics"}).raw) })
}

// TestSteadyState: after a long time of clients that come and go an idle instance holds
// what it held when it had warmed up: goroutines, descriptors, heap. "make soak" churns
// for 30 minutes.
func TestSteadyState(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		const workers = 4
		warmUp, churn := time.Duration(soak(0, 5))*time.Minute, time.Duration(soak(0, 25))*time.Minute
		least, room := int64(soak(400, 10_000)), float64(soak(40, 5))
		d := newDeployment(t, driver, "TOKEN_ACCESS_TTL=60s")
		i := d.start(t, data)
		mobiles := make([]string, 10*workers)
		for n := range mobiles {
			mobiles[n] = d.number()
		}
		churned := func(least int64, during time.Duration) int64 {
			begin, acts := time.Now(), atomic.Int64{}
			runAtOnce(workers, func(worker int) {
				for round := 0; (acts.Load() < least || time.Since(begin) < during) && !t.Failed(); round++ {
					acts.Add(i.comeAndGo(t, mobiles[worker*10+round%10]))
				}
			})
			return acts.Load()
		}
		churned(least, warmUp)
		warm := i.settledFootprint(t)
		acts := churned(2*least, churn)
		end := i.settledFootprint(t)
		t.Logf("%s: warm %s; after %d acts %s", driver, warm, acts, end)
		for name, pair := range map[string][2]float64{
			"goroutines": {warm.goroutines, end.goroutines}, "descriptors": {warm.descriptors, end.descriptors}, "heap": {warm.heap, end.heap},
		} {
			if pair[1] > pair[0]*(1+room/100)+4 { // a pool may have opened some connections more
				t.Errorf("%s: %s grew from %.0f to %.0f", driver, name, pair[0], pair[1])
			}
		}
	})
}

// comeAndGo is a visit of a user with all kinds of requests, some of them broken off. It
// returns how many requests it made.
func (i *instance) comeAndGo(t *testing.T, mobile string) int64 {
	code := i.call(codeRequest(mobile))
	login := i.call(loginRequest(mobile, i.d.messages.newest(mobile), "device"))
	if code.code == 50300 || login.code == 50300 { // a busy machine
		return 2
	}
	if code.code != 0 || login.code != 0 {
		t.Errorf("%s\n%s", code, login)
		return 2
	}
	s := login.session(t, mobile, "device")
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+rand.IntN(30))*time.Millisecond)
	defer cancel()
	left := make(chan struct{})
	go func() { // a client that goes away
		defer close(left)
		i.d.exchange(ctx, i.public, request{path: "/app/auth/events", token: s.access})
		i.d.exchange(ctx, i.public, s.checkRequest("&wait=25"))
	}()
	for range 3 {
		i.check(s)
	}
	i.call(request{path: "/app/auth/user", token: "garbage"})
	i.call(s.refreshRequest())
	<-left
	if rand.IntN(2) == 0 {
		i.callAdmin(s.kickRequest())
	} else {
		i.call(s.logoutRequest())
	}
	i.check(s)
	return 12
}
