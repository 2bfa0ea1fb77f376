//go:build verify

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"menshen/repository"
)

// site is a client of the service as a page in a browser. The page asks for a code, solves
// the puzzle of the refusal with the widget, and asks again.
const site = `<!doctype html><title>puzzle</title><altcha-widget name="puzzle"></altcha-widget>
<script %s src="%s/challenge/pow.js"></script><script type="module" src="/page.js"></script>`

const page = `
const ask = (more) => fetch("/auth/mobile/code", {
	method: "POST", headers: { "Content-Type": "application/json" },
	body: JSON.stringify({ companyType: 0, mobile: MOBILE, productType: 0, ...more }),
}).then((response) => response.json());
const report = (told) => fetch("/told", { method: "POST", body: JSON.stringify(told) });
addEventListener("securitypolicyviolation", (e) => report({ error: [e.violatedDirective, e.blockedURI, e.sourceFile, e.lineNumber, e.columnNumber].join(" ") }));
try {
	await customElements.whenDefined("altcha-widget");
	const refused = await ask({});
	const widget = document.querySelector("altcha-widget");
	widget.configure({ challenge: refused.data.challenge.params, minDuration: 0 });
	const began = performance.now();
	const { payload } = await widget.verify();
	const took = Math.round(performance.now() - began);
	const sent = await ask({ challenge: payload, challengeProvider: "pow" });
	const again = await ask({ challenge: payload, challengeProvider: "pow" });
	const styled = getComputedStyle(document.documentElement).getPropertyValue("--altcha-border-width") !== "";
	await report({ refused: refused.code, sent: sent.code, again: again.code, took, styled });
} catch (e) {
	await report({ error: String(e && e.stack || e) });
}`

// told is what the page reports.
type told struct {
	Refused, Sent, Again, Took int
	Styled                     bool
	Error                      string
}

// TestVerifyWidget: the widget solves a puzzle in Chromium, whose answer sends a code once:
// as a classic script and as a module, under a policy that allows nothing but the page's own
// origin, and as a script of another origin.
func TestVerifyWidget(t *testing.T) {
	d := newDeployment(t, repository.SQLite, "CHALLENGE_PROVIDERS=pow", "CODE_PER_MOBILE_DAY=2")
	i := d.start(t, data)
	for _, row := range []struct{ name, attribute, origin, policy string }{
		{"classic", "", "", "default-src 'self'"},
		{"module", `type="module"`, "", "default-src 'self'"},
		{"another origin", "", i.public, "default-src 'self'; script-src 'self' " + i.public + "; worker-src blob:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			mobile := d.number()
			for range 2 {
				i.sendCode(t, mobile)
			}
			reports := make(chan told, 10)
			routes := http.NewServeMux()
			target, err := url.Parse(i.public)
			if err != nil {
				t.Fatal(err)
			}
			proxy := httputil.NewSingleHostReverseProxy(target)
			routes.Handle("/auth/", proxy)
			routes.Handle("/challenge/", proxy)
			routes.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Security-Policy", row.policy)
				_, _ = fmt.Fprintf(w, site, row.attribute, row.origin)
			})
			routes.HandleFunc("/page.js", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = io.WriteString(w, strings.Replace(page, "MOBILE", fmt.Sprintf("%q", mobile), 1))
			})
			routes.HandleFunc("/told", func(_ http.ResponseWriter, r *http.Request) {
				var said told
				_ = json.NewDecoder(r.Body).Decode(&said)
				reports <- said
			})
			server := httptest.NewServer(routes)
			defer server.Close()
			newBrowser(t).open(t, server.URL)
			said := <-reports
			if said.Error != "" || said.Refused != 42902 || said.Sent != 0 || said.Again != 42902 || !said.Styled {
				t.Errorf("%+v", said)
			}
			t.Logf("solved in %d ms, with a processor that is slowed down four times", said.Took)
		})
	}
}

// browser is a Chromium, spoken to by the protocol of its developer tools over a pipe.
type browser struct {
	to   io.Writer
	from *bufio.Reader
	id   int
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	theirs, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, out}
	runUntilEnd(t, cmd)
	t.Cleanup(func() { _, _ = to.Close(), from.Close() })
	_, _ = theirs.Close(), out.Close()
	return &browser{to: to, from: bufio.NewReader(from)}
}

// call waits for the answer to a command.
func (b *browser) call(t *testing.T, session, method string, params map[string]any) (result map[string]any) {
	t.Helper()
	b.id++
	command := map[string]any{"id": b.id, "method": method, "params": params}
	if session != "" {
		command["sessionId"] = session
	}
	text, _ := json.Marshal(command)
	if _, err := b.to.Write(append(text, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		text, err := b.from.ReadBytes(0)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			ID            int
			Result, Error map[string]any
		}
		if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &answer); err != nil {
			t.Fatal(err)
		}
		if answer.ID == b.id {
			if answer.Error != nil {
				t.Fatalf("%s: %v", method, answer.Error)
			}
			return answer.Result
		}
	}
}

// open shows a page in a tab whose processor is slowed down four times.
func (b *browser) open(t *testing.T, address string) {
	t.Helper()
	tab := b.call(t, "", "Target.createTarget", map[string]any{"url": "about:blank"})["targetId"]
	session, _ := b.call(t, "", "Target.attachToTarget", map[string]any{"targetId": tab, "flatten": true})["sessionId"].(string)
	b.call(t, session, "Emulation.setCPUThrottlingRate", map[string]any{"rate": 4})
	b.call(t, session, "Page.navigate", map[string]any{"url": address})
}
