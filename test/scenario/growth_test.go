package scenario

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"menshen/repository"
)

// TestGrowth is R-112: what a thousand requests of one address leave in the database, by
// kind of request, with the limits as shipped. The table "What requests leave" of
// docs/security.md has a row for each kind, with the bounds for a minute.
func TestGrowth(t *testing.T) {
	const requests, logLine = 1000, 1 << 10 // bytes of a line, on average
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "LIMITS_ENABLED=true", "SERVER_TRUSTED_PROXIES=127.0.0.1", "TOKEN_REUSE_GRACE=1h", "LOG_LEVEL=info",
		operatorKeys(), "GUARD_BURST=0") // the two events of its alarm come while another kind is counted
	d.start(t)
	bounds := growthBounds(t)
	for i, kind := range growthKinds() {
		t.Run(kind.name, func(t *testing.T) {
			bound, documented := bounds[kind.name]
			if !documented {
				t.Fatal("docs/security.md has no such row")
			}
			delete(bounds, kind.name)
			next := kind.prepare(t, d)
			before, began := d.left(t), time.Now()
			codes := d.repeat(t, requests, fmt.Sprintf("198.51.100.%d", i+1), next)
			if codes[kind.code] == 0 {
				t.Errorf("no response is %d: %v", kind.code, codes)
			}
			for code, n := range codes {
				if limited := code == 429 || code/100 == 429; code != kind.code && !limited && kind.operation != "" {
					t.Errorf("%d responses are %d, want %d", n, code, kind.code)
				}
			}
			minutes := int(time.Now().Unix()/60-began.Unix()/60) + 1
			after := d.left(t)
			for _, table := range growthTables {
				if n := after.rows[table] - before.rows[table]; n > minutes*bound.rows[table] {
					t.Errorf("%d rows in %s, want at most %d in each of %d minutes", n, table, bound.rows[table], minutes)
				}
			}
			if n := after.bytes - before.bytes; n > minutes*bound.bytes {
				t.Errorf("%d bytes, want at most %d in each of %d minutes", n, bound.bytes, minutes)
			}
		})
	}
	if len(bounds) > 0 {
		t.Errorf("documented and not tested: %v", bounds)
	}
	d.stop(t)
	if n := len(d.log.text()); n > requests*len(growthKinds())*logLine {
		t.Errorf("the log has %d bytes", n)
	}
}

// growth is a kind of request that one address repeats.
type growth struct {
	name      string
	operation string // of the API document; "" for none or several
	// code is that of at least one response. The others have it too, or are refused by a
	// limit, but for the kind of all paths.
	code int32
	// prepare makes what the requests need, and returns request i.
	prepare func(t *testing.T, d *deployment) func(i int) call
}

// repeat sends n requests from an address, eight at a time, and counts the codes of the
// responses. An empty address is that which the request names.
func (d *deployment) repeat(t *testing.T, n int, address string, next func(i int) call) map[int32]int {
	t.Helper()
	var mu sync.Mutex
	codes := map[int32]int{}
	var senders sync.WaitGroup
	const parallel = 8
	for first := range parallel {
		senders.Go(func() {
			for i := first; i < n; i += parallel {
				got, err := d.codeOf(t, next(i), address)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				codes[got]++
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	return codes
}

// codeOf sends a request and returns its code, for a response without an envelope its
// status. A path that begins with "admin:" is one of the admin listener.
func (d *deployment) codeOf(t *testing.T, c call, address string) (int32, error) {
	base := d.public
	if path, admin := strings.CutPrefix(c.path, "admin:"); admin {
		base, c.path = d.admin, path
	}
	request := c.request(t, base)
	if address != "" {
		request.Header.Set("X-Forwarded-For", address)
	}
	response, err := d.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	var envelope struct{ Code *int32 }
	if json.Unmarshal(body, &envelope) != nil || envelope.Code == nil {
		return int32(response.StatusCode), err //nolint:gosec // a status
	}
	return *envelope.Code, err
}

// growthTables are the tables whose rows are counted. An ended session has one in feed
// too, some seconds later.
var growthTables = []string{"codes", "events", "folds", "gates", "sessions", "slots", "users", "vault"}

// left is what the tables hold.
type left struct {
	rows  map[string]int
	bytes int // of all values
}

func (d *deployment) left(t *testing.T) left {
	t.Helper()
	all := left{rows: map[string]int{}}
	for _, table := range growthTables {
		var lengths []string
		for _, name := range d.cells(t, "SELECT name FROM pragma_table_info('"+table+"')") {
			lengths = append(lengths, "COALESCE(LENGTH(CAST("+string(name)+" AS BLOB)), 0)")
		}
		query := "SELECT COUNT(*), COALESCE(SUM(" + strings.Join(lengths, " + ") + "), 0) FROM " + table
		if table == "gates" {
			query += " WHERE CAST(name AS TEXT) <> 'feed'" // the only one of all sessions' ends
		}
		cells := d.cells(t, query)
		all.rows[table] = integer(t, string(cells[0]))
		all.bytes += integer(t, string(cells[1]))
	}
	return all
}

func integer(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(text), ",", ""))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// growthBounds reads the document's table: kind, rows such as "1 `codes`", bytes.
func growthBounds(t *testing.T) map[string]left {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## What requests leave\n")
	section, _, _ = strings.Cut(section, "\n## ")
	items := regexp.MustCompile("([0-9,]+) `([a-z]+)`")
	bounds := map[string]left{}
	for line := range strings.SplitSeq(section, "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 || strings.Contains(line, "| bytes |") {
			continue
		}
		bound := left{rows: map[string]int{}, bytes: integer(t, cells[2])}
		for _, item := range items.FindAllStringSubmatch(cells[1], -1) {
			bound.rows[item[2]] = integer(t, item[1])
		}
		bounds[strings.TrimSpace(cells[0])] = bound
	}
	return bounds
}

// TestGrowthOfEveryOperation: every operation of the API document is a kind of request,
// each that takes a token with one.
func TestGrowthOfEveryOperation(t *testing.T) {
	known := map[string]bool{}
	for _, kind := range growthKinds() {
		known[kind.operation] = true
	}
	for path, item := range mustDocument(t).Paths.Map() {
		for method := range item.Operations() {
			if !known[method+" "+path] && !slices.Contains(neverWriting, path) {
				t.Errorf("%s %s is no kind of request", method, path)
			}
		}
	}
}

// neverWriting are paths that need no token and are in the kind of all paths only, and those of
// receipts, which leave nothing without a vendor's token or signature.
var neverWriting = []string{
	"/.well-known/jwks.json", "/healthz", "/readyz",
	"/hooks/sms/aliyun/{token}", "/hooks/sms/tencent/{token}", "/hooks/sms/twilio/{token}", "/hooks/sms/webhook",
}
