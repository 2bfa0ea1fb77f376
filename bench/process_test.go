package bench

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Limits of waiting.
const (
	startTime = 30 * time.Second
	stopTime  = 10 * time.Second
	callTime  = 30 * time.Second
)

// program is the static, stripped binary as `make build` makes it, built once
// for the run into a folder that TestMain removes.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder, "menshen")
	build := exec.Command("go", "build", "-tags=nomsgpack,timetzdata", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X main.version=bench", "-o", path, "menshen")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", build.Args, err, out)
	}
	return path, nil
})

var folder string

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "menshen-bench."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	exit := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(exit)
}

// deployment is what outlives a process: a data folder with a database of SQLite,
// the secrets, the provider of messages.
type deployment struct {
	folder string
	secret string
	sms    string // secret of the webhook
	codes  sync.Map
	server *httptest.Server
	client *http.Client
}

func newDeployment(b *testing.B) *deployment {
	b.Helper()
	d := &deployment{
		folder: b.TempDir(), secret: newSecret(), sms: newSecret(),
		client: &http.Client{Timeout: callTime, Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 128}},
	}
	d.server = httptest.NewServer(d)
	b.Cleanup(d.server.Close)
	b.Cleanup(d.client.CloseIdleConnections)
	return d
}

func newSecret() string {
	var key [32]byte
	_, _ = rand.Read(key[:])
	return base64.StdEncoding.EncodeToString(key[:])
}

// ServeHTTP is the provider of messages: it keeps the newest code of each number.
func (d *deployment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct{ Mobile, Code string }
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	d.codes.Store(m.Mobile, m.Code)
	w.WriteHeader(http.StatusNoContent)
}

// logLoad logs how busy the machine is: figures of a busy one mean nothing.
func logLoad(b *testing.B, when string) {
	b.Helper()
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		b.Logf("load average %s: %s", when, bytes.TrimSpace(load))
	}
}

// process is a running menshen.
type process struct {
	*deployment
	pid           int
	handle        *os.Process
	exited        chan error
	public, admin string        // host:port
	ready         time.Duration // from its start until /readyz was 200
}

// start runs the program on the deployment's folder and waits until it is ready.
func (d *deployment) start(b *testing.B) *process {
	b.Helper()
	path, err := program()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Dir = d.folder
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "MENSHEN_ENV=dev", "MENSHEN_DATA_DIR=" + filepath.Join(d.folder, "data"),
		"MENSHEN_SERVER_ADDR=127.0.0.1:0", "MENSHEN_SERVER_ADMIN_ADDR=127.0.0.1:0", "MENSHEN_LOG_FORMAT=json",
		"MENSHEN_LIMITS_ENABLED=false", "MENSHEN_CODE_COOLDOWN=0s", "MENSHEN_CODE_PER_MOBILE_HOUR=0", "MENSHEN_CODE_PER_MOBILE_DAY=0",
		"MENSHEN_CODE_PER_IP_HOUR=0", "MENSHEN_CODE_PER_IP_DAY=0", "MENSHEN_CODE_PER_BLOCK_HOUR=0", "MENSHEN_CODE_PER_BLOCK_DAY=0", "MENSHEN_CODE_DAILY_BUDGET=0",
		"MENSHEN_SECRET_KEY=" + d.secret, "MENSHEN_SMS_PROVIDER=webhook",
		"MENSHEN_SMS_WEBHOOK_URL=" + d.server.URL, "MENSHEN_SMS_WEBHOOK_SECRET=whsec_" + d.sms,
	}
	log, write, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	began := time.Now()
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		b.Fatal(err)
	}
	p := &process{deployment: d, pid: cmd.Process.Pid, handle: cmd.Process, exited: make(chan error, 1)}
	go func() { p.exited <- cmd.Wait() }()
	b.Cleanup(func() { p.stop(b) })
	p.await(b, log)
	p.ready = time.Since(began)
	return p
}

// await reads the log until it holds the addresses, and checks that the program is
// ready. The rest of the log is read and dropped.
func (p *process) await(b *testing.B, log io.ReadCloser) {
	b.Helper()
	serving, text := make(chan struct{}), ""
	go func() {
		defer func() { _ = log.Close() }()
		lines := bufio.NewScanner(log)
		for found := false; lines.Scan(); {
			var line struct{ Msg, Addr, AdminAddr string }
			if found {
				continue
			}
			text += lines.Text() + "\n"
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				p.public, p.admin, found = line.Addr, line.AdminAddr, true
				close(serving)
			}
		}
	}()
	select {
	case <-serving:
	case err := <-p.exited:
		p.handle = nil
		b.Fatalf("the program ended: %v\n%s", err, text)
	case <-time.After(startTime):
		b.Fatal("the program does not serve")
	}
	response, err := p.client.Get("http://" + p.public + "/readyz")
	if err != nil {
		b.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		b.Fatalf("readyz is %d", response.StatusCode)
	}
}

// stop ends the process, if it runs, and returns how long that took.
func (p *process) stop(b *testing.B) time.Duration {
	b.Helper()
	if p.handle == nil {
		return 0
	}
	handle := p.handle
	p.handle = nil
	p.client.CloseIdleConnections()
	began := time.Now()
	if err := handle.Signal(syscall.SIGTERM); err != nil {
		b.Error(err)
	}
	select {
	case err := <-p.exited:
		if err != nil {
			b.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(2 * stopTime):
		b.Error("the program does not stop")
		_ = handle.Kill()
		<-p.exited //nolint:errcheck // it was killed
	}
	return time.Since(began)
}

// memory returns a line of the process's status in kB, VmRSS or VmHWM.
func (p *process) memory(b *testing.B, name string) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/status")
	if err != nil {
		b.Skipf("the memory of a process is read from /proc: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name+":" {
			return number(b, fields[1])
		}
	}
	b.Fatalf("no %s", name)
	return 0
}

func number(b *testing.B, text string) float64 {
	b.Helper()
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		b.Fatal(err)
	}
	return value
}

// metrics returns the program's metrics without labels.
func (p *process) metrics(b *testing.B) map[string]float64 {
	b.Helper()
	response, err := p.client.Get("http://" + p.admin + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	found := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && name != "#" && !strings.Contains(name, "{") {
			found[name] = number(b, value)
		}
	}
	return found
}

// collect requests a garbage collection and reports whether there was one:
// profiles are served in development alone.
func (p *process) collect(b *testing.B) bool {
	b.Helper()
	response, err := p.client.Get("http://" + p.admin + "/debug/pprof/heap?gc=1")
	if err != nil {
		b.Fatal(err)
	}
	profile, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if into := os.Getenv("MENSHEN_BENCH_PROFILE"); into != "" && err == nil && response.StatusCode == http.StatusOK {
		err = os.WriteFile(into, profile, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
	return response.StatusCode == http.StatusOK
}

// post makes a call of the API that must succeed and returns its data.
func (p *process) post(path string, body map[string]any) (json.RawMessage, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	response, err := p.client.Post("http://"+p.public+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var envelope struct {
		Code int32
		Data json.RawMessage
	}
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return nil, err
	}
	if envelope.Code != 0 {
		return nil, fmt.Errorf("%s: %s", path, raw)
	}
	return envelope.Data, nil
}

// send requests a code and takes it from the provider.
func (p *process) send(mobile string) (string, error) {
	if _, err := p.post("/auth/mobile/code", map[string]any{"companyType": 0, "productType": 0, "mobile": mobile}); err != nil {
		return "", err
	}
	code, ok := p.codes.Load("+86" + mobile)
	if !ok {
		return "", errors.New("no code came")
	}
	return code.(string), nil
}

// login exchanges a code for an access token.
func (p *process) login(mobile, code string) (string, error) {
	data, err := p.post("/auth/mobile/login", map[string]any{
		"companyType": 0, "productType": 0, "mobile": mobile, "source": "bench", "validateNo": code,
	})
	if err != nil {
		return "", err
	}
	var login struct{ AccessToken struct{ Value string } }
	err = json.Unmarshal(data, &login)
	return login.AccessToken.Value, err
}
