package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"menshen/app"
)

// program is a service: an instance of menshen in this process, with a folder, a database
// and a clock of its own. It asks nothing of the environment.
type program struct {
	public string // base URLs
	admin  string
	key    string // of its operator
	client *http.Client
	ahead  *atomic.Int64 // nanoseconds by which its clock is ahead
	stop   func() error
}

// settings is the configuration of a trace's service. Limits are off: a trace that wants a
// refusal makes one.
const settings = `env: dev
data_dir: %q
server: {addr: "127.0.0.1:0", admin_addr: "127.0.0.1:0", locale: en, docs: false}
console: {enabled: false}
admin: {keys: [{name: conformance, key: %s}]}
limits: {enabled: false}
code: {cooldown: 0s, per_mobile_hour: 0, per_mobile_day: 0, per_ip_hour: 0, per_ip_day: 0, per_block_hour: 0, per_block_day: 0}
log: {level: error, format: json}
`

const operatorKey = "conformance-conformance-conformance"

// startProgram starts a service, with a clock that is ahead by a time. The environment of p
// overrides its settings.
func startProgram(ctx context.Context, p app.Process, ahead time.Duration) (s *program, err error) {
	folder, err := os.MkdirTemp("", "menshen-conformance-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}()
	file := filepath.Join(folder, "config.yaml")
	text := fmt.Sprintf(settings, filepath.Join(folder, "data"), operatorKey)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s = &program{key: operatorKey, ahead: new(atomic.Int64)}
	s.ahead.Store(int64(ahead))
	s.client = &http.Client{
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	addresses := make(chan [2]string, 1)
	a, err := app.New(app.Process{
		Environ: p.Environ, Out: io.Discard, Err: io.Discard, Version: p.Version, Defaults: p.Defaults,
		Now:       func() time.Time { return p.Now().Add(time.Duration(s.ahead.Load())) },
		OnServing: func(public, admin string) { addresses <- [2]string{public, admin} },
	}, file)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.Serve(ctx) }()
	s.stop = func() error {
		s.client.CloseIdleConnections()
		cancel()
		return errors.Join(<-ended, os.RemoveAll(folder))
	}
	select {
	case at := <-addresses:
		s.public, s.admin = "http://"+at[0], "http://"+at[1]
		return s, nil
	case err := <-ended:
		cancel()
		return nil, fmt.Errorf("start the service: %w", err)
	}
}

// answered is what the service answered to a request of a trace itself.
type answered struct {
	Code int32           `json:"code"`
	Data json.RawMessage `json:"data"`
}

// ask sends a request that is none of the client's. target is a whole URL.
func (s *program) ask(ctx context.Context, target, bearer string, body any) (got answered, err error) {
	method, text := http.MethodGet, []byte(nil)
	if body != nil {
		method = http.MethodPost
		if text, err = json.Marshal(body); err != nil {
			return got, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(text))
	if err != nil {
		return got, err
	}
	request.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return got, err
	}
	defer func() { _ = response.Body.Close() }()
	err = json.NewDecoder(response.Body).Decode(&got)
	return got, err
}

// want is ask for a request that must succeed.
func (s *program) want(ctx context.Context, target, bearer string, body, into any) error {
	got, err := s.ask(ctx, target, bearer, body)
	if err == nil && got.Code != 0 {
		err = fmt.Errorf("%s: code %d", target, got.Code)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(got.Data, into)
	}
	return err
}

// newestCode is the newest code that was sent to a number.
func (s *program) newestCode(ctx context.Context, mobile string) (string, error) {
	var inbox struct{ Items []struct{ Code string } }
	if err := s.want(ctx, s.public+"/dev/sms.json?mobile="+mobile, "", nil, &inbox); err != nil {
		return "", err
	}
	if len(inbox.Items) == 0 {
		return "", errors.New("no code was sent to " + mobile)
	}
	return inbox.Items[0].Code, nil
}

// session is the state of a session: "active", or the reason of its end.
func (s *program) session(ctx context.Context, sid string) (state string, generation int, err error) {
	var got struct {
		State      string
		Generation int
	}
	err = s.want(ctx, s.public+"/dev/sessions/"+sid, "", nil, &got)
	return got.State, got.Generation, err
}

// otherLogin logs a user in on a device that is none of the client's.
func (s *program) otherLogin(ctx context.Context, mobile string) error {
	code := map[string]any{"companyType": 0, "mobile": mobile, "productType": 0}
	if err := s.want(ctx, s.public+"/auth/mobile/code", "", code, nil); err != nil {
		return err
	}
	text, err := s.newestCode(ctx, mobile)
	if err != nil {
		return err
	}
	return s.want(ctx, s.public+"/auth/mobile/login", "", map[string]any{
		"companyType": 0, "mobile": mobile, "productType": 0, "source": "", "validateNo": text, "deviceNumber": "another-phone",
	}, nil)
}

// operator does something to a user: kick, ban or unban.
func (s *program) operator(ctx context.Context, act string, user int64) error {
	return s.want(ctx, fmt.Sprintf("%s/admin/users/%d/%s", s.admin, user, act), s.key, map[string]string{"reason": "conformance"}, nil)
}
