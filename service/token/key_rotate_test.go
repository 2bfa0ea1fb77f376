package token

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestKeyRingActivation(t *testing.T) {
	clock := newKeyClock()
	ring := mustOpenKeys(t, keyTestOptions(t, clock))
	first := keyIDs(ring)[0]
	expect := func(when, kid string) {
		t.Helper()
		if got := ring.signer().kid; got != kid {
			t.Errorf("%s: %s signs, want %s", when, got, kid)
		}
	}
	expect("none activated", first)
	clock.Advance(time.Minute)
	second := mustRotateKeys(t, ring).Added[0]
	expect("none of two activated: the oldest", first)
	clock.Advance(15*time.Minute - 1)
	expect("a nanosecond early", first)
	clock.Advance(1)
	expect("activated", second)
	clock.Advance(time.Hour)
	third := mustRotateKeys(t, ring).Added[0]
	expect("third pending", second)
	ring.SetActivation(0)
	expect("activation shortened", third)
}

func TestKeyRingPrefersConfiguredAlgorithm(t *testing.T) {
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	ring := mustOpenKeys(t, opts)
	old := keyIDs(ring)[0]
	clock.Advance(time.Hour)

	opts.Algorithm = AlgEdDSA
	ring = mustOpenKeys(t, opts)
	if got := keyIDs(ring); !slices.Equal(got, []string{old}) || ring.signer().kid != old {
		t.Errorf("a folder that holds keys of another algorithm: %v", got)
	}
	fresh := mustRotateKeys(t, ring).Added[0]
	if ring.signer().kid != old {
		t.Error("a pending key of the configured algorithm signs")
	}
	clock.Advance(time.Hour)
	newest := newP256(t)
	writeTestFile(t, filepath.Join(opts.Dir, "brought.pem"), append([]byte("Created: "+
		clock.Now().Format(time.RFC3339)+"\n"), keyPEM(t, newest)...))
	clock.Advance(time.Hour)
	if err := ring.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := ring.signer(); got.kid != fresh {
		t.Errorf("%s signs, want the older key of the configured algorithm", got.alg)
	}
}

func TestKeyRingRotatePrunes(t *testing.T) {
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	ring := mustOpenKeys(t, opts)
	tokens := newTestTokens(ring, clock)
	first := keyIDs(ring)[0]
	raw := mustSign(t, tokens, tokenTestClaims(clock.Now()))

	clock.Advance(time.Minute)
	second := mustRotateKeys(t, ring).Added[0]
	clock.Advance(30 * time.Minute)
	mustRotateKeys(t, ring)
	if _, err := tokens.Verify(raw); err != nil {
		t.Errorf("after two rotations: %v", err)
	}
	// The first key's last use was the second one's activation, 15 minutes ago.
	clock.Advance(-15*time.Minute + 720*time.Hour + 15*time.Minute + 10*time.Second)
	if change := mustRotateKeys(t, ring); len(change.Removed) != 0 {
		t.Errorf("removed %v within refresh_ttl of the last use", change.Removed)
	}
	clock.Advance(time.Second)
	if change := mustRotateKeys(t, ring); !slices.Equal(change.Removed, []string{first}) {
		t.Errorf("removed %v, want %s", change.Removed, first)
	}
	if _, err := tokens.Verify(raw); err == nil {
		t.Error("a token of a pruned key verifies")
	}
	if kids := keyIDs(ring); kids[0] != second || len(kids) != len(keyNames(t, opts.Dir)) {
		t.Errorf("keys %v, files %v", kids, keyNames(t, opts.Dir))
	}
}

// TestKeyRingRotateProperty draws histories of rotations and signatures: no key
// is removed within refresh_ttl of its last use, and there is one to sign.
func TestKeyRingRotateProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clock := newKeyClock()
		opts := keyTestOptions(t, clock)
		opts.RefreshTTL = time.Hour
		opts.Activation = rapid.SampledFrom([]time.Duration{0, time.Minute, 2 * time.Hour}).Draw(rt, "activation")
		ring := mustOpenKeys(t, opts)
		used := map[string]time.Time{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			clock.Advance(time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(rt, "wait")))
			used[ring.signer().kid] = clock.Now()
			if !rapid.Bool().Draw(rt, "rotate") {
				continue
			}
			for _, kid := range mustRotateKeys(t, ring).Removed {
				if last, ok := used[kid]; ok && clock.Now().Sub(last) <= opts.RefreshTTL {
					rt.Fatalf("removed %v after its last use", clock.Now().Sub(last))
				}
			}
		}
	})
}

func TestKeyRingRevoke(t *testing.T) {
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	ring := mustOpenKeys(t, opts)
	opts.Algorithm = AlgEdDSA
	other := mustOpenKeys(t, opts)
	first := keyIDs(ring)[0]
	raw := mustSign(t, newTestTokens(ring, clock), tokenTestClaims(clock.Now()))

	if _, err := other.Revoke("unknown"); err == nil || !strings.Contains(err.Error(), `"unknown"`) {
		t.Errorf("unknown kid: %v", err)
	}
	change, err := other.Revoke(first)
	if err != nil || len(change.Added) != 1 || !slices.Equal(change.Removed, []string{first}) {
		t.Fatalf("the last key: %+v, error %v", change, err)
	}
	if err := ring.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := newTestTokens(ring, clock).Verify(raw); err == nil {
		t.Error("a token of a revoked key verifies in another process after its reading")
	}
	if key := ring.signer(); key.kid != change.Added[0] || key.alg != AlgEdDSA || ring.Generation() != 2 {
		t.Errorf("%s signs, %d changes", key.alg, ring.Generation()-1)
	}
	second := mustRotateKeys(t, other).Added[0]
	writeTestFile(t, filepath.Join(opts.Dir, "broken.pem"), []byte("half"))
	opts.Lenient = true
	mender := mustOpenKeys(t, opts)
	change, err = mender.Rotate()
	if err != nil || len(change.Added) != 1 || len(change.Removed) != 0 || !namesOnly(change.Unusable, "broken.pem") {
		t.Errorf("rotated beside a broken file: %+v, error %v", change, err)
	}
	change, err = mender.Revoke(second)
	if err != nil || len(change.Added) != 0 || !slices.Equal(change.Removed, []string{second}) || !namesOnly(change.Unusable, "broken.pem") {
		t.Errorf("beside a broken file: %+v, error %v", change, err)
	}
	if got := keyIDs(mender); slices.Contains(got, second) {
		t.Errorf("keys %v hold the revoked one", got)
	}
	if _, err := mender.Revoke(second); err == nil || !strings.Contains(err.Error(), "no key") || !strings.Contains(err.Error(), "broken.pem") {
		t.Errorf("an unknown key beside a broken file: %v", err)
	}
}

// namesOnly reports whether the one problem names the file.
func namesOnly(problems []error, file string) bool {
	return len(problems) == 1 && strings.Contains(problems[0].Error(), file)
}

// TestRevokeByName: the file of a key that is broken by now is removed by its name, and so
// is the key that an instance has read from it before. Another key under that name stays.
func TestRevokeByName(t *testing.T) {
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	running := mustOpenKeys(t, opts)
	first := keyIDs(running)[0]
	path := filepath.Join(opts.Dir, first+".pem")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeTestFile(t, path, whole[:len(whole)/2])
	if err := running.Reload(); err == nil || !slices.Equal(keyIDs(running), []string{first}) {
		t.Errorf("the running ring: keys %v, error %v", keyIDs(running), err)
	}
	opts.Lenient = true
	if ring, err := OpenKeys(opts); err != nil || ring.Size() != 0 { // makes no key: a broken one may be mended
		t.Fatalf("%d keys, error %v", ring.Size(), err)
	}
	mender := mustOpenKeys(t, opts)
	for _, kid := range []string{strings.Repeat("A", 43), "../" + first, "."} {
		if _, err := mender.Revoke(kid); err == nil {
			t.Errorf("%s is revoked", kid)
		}
	}
	change, err := mender.Revoke(first)
	if err != nil || len(change.Added) != 1 || !slices.Equal(change.Removed, []string{first}) || len(change.Unusable) > 0 {
		t.Fatalf("%+v, error %v", change, err)
	}
	if err := running.Reload(); err != nil || !slices.Equal(keyIDs(running), change.Added) {
		t.Errorf("the running ring: keys %v, error %v", keyIDs(running), err)
	}
	if err := os.Rename(filepath.Join(opts.Dir, change.Added[0]+".pem"), path); err != nil {
		t.Fatal(err)
	}
	if change, err := mender.Revoke(first); err == nil || len(keyNames(t, opts.Dir)) != 1 {
		t.Errorf("another key under the name is removed: %+v", change)
	}
}

func TestOpenKeysAtOnce(t *testing.T) {
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	rings := make([]*KeyRing, 8)
	var opening sync.WaitGroup
	for i := range rings {
		opening.Go(func() {
			ring, err := OpenKeys(opts)
			if err != nil {
				t.Error(err)
			}
			rings[i] = ring
		})
	}
	opening.Wait()
	if t.Failed() {
		return
	}
	for i, signer := range rings {
		raw := mustSign(t, newTestTokens(signer, clock), tokenTestClaims(clock.Now()))
		for j, verifier := range rings {
			if _, err := newTestTokens(verifier, clock).Verify(raw); err != nil {
				t.Errorf("%d refuses a token of %d: %v", j, i, err)
			}
		}
	}
	for _, ring := range rings {
		if err := ring.Reload(); err != nil || ring.signer().kid != rings[0].signer().kid {
			t.Errorf("after re-reading another key signs, error %v", err)
		}
	}
}

func TestKeyRingUnknownKidReadsAnew(t *testing.T) {
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	ring := mustOpenKeys(t, opts)
	other := mustOpenKeys(t, opts)
	bring := func() string { return mustRotateKeys(t, other).Added[0] }

	second := bring()
	for _, kid := range []string{"", "x", "../../dev/null", strings.Repeat("A", 42), strings.Repeat("A", 44),
		strings.Repeat("A", 42) + "B", strings.Repeat("A", 42) + "\n", strings.Repeat("=", 43)} {
		if ring.find(kid) != nil || len(keyIDs(ring)) != 1 {
			t.Errorf("kid %q made the folder be read", kid)
		}
	}
	if ring.find(second) == nil {
		t.Error("a new key is not found by its kid")
	}
	third := bring()
	clock.Advance(keyMissEvery - 1)
	if ring.find(third) != nil {
		t.Error("the folder was read twice within a second")
	}
	clock.Advance(1)
	var finders sync.WaitGroup
	for range 16 {
		finders.Go(func() {
			if ring.find(third) == nil {
				t.Error("a new key is not found a second later")
			}
		})
	}
	finders.Wait()
	fourth := bring()
	clock.Advance(-time.Hour) // the clock is the database's and may be set back
	if ring.find(fourth) == nil {
		t.Error("a clock set back keeps the folder from being read")
	}
}

func TestKeyRingUnknownKidReports(t *testing.T) {
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	reports := 0
	opts.OnError = func(error) { reports++ }
	ring := mustOpenKeys(t, opts)
	if err := os.RemoveAll(opts.Dir); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		clock.Advance(2 * time.Second)
		if ring.find(strings.Repeat("A", 43)) != nil {
			t.Error("found")
		}
	}
	if reports != 1 || len(keyIDs(ring)) != 1 {
		t.Errorf("%d reports, keys %v", reports, keyIDs(ring))
	}
}
