package scenario

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"menshen/repository"
)

// takeOver hands the connection of an exchange to a provider that answers with raw bytes.
// request is what it was sent, in one line.
func takeOver(answer func(w io.Writer, request string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		dump, _ := httputil.DumpRequest(r, true)
		request := strings.Join(strings.Fields(string(dump)), " ")
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		answer(conn, request)
	}
}

// repeated writes a head, and more until the program leaves or 10 MB are sent.
func repeated(head, more string) func(io.Writer, string) {
	return func(w io.Writer, _ string) {
		_, err := io.WriteString(w, head)
		for more, sent := strings.Repeat(more, 1<<10), 0; err == nil && sent < 10<<20; sent += len(more) {
			_, err = io.WriteString(w, more)
		}
	}
}

// TestOutgoing: with a provider that echoes, stalls, floods, lies or redirects, requests
// are answered in time, no line of the log is long, and nothing shows a code, a number
// or a secret. A code whose message may have been sent is valid, a refused one is not.
func TestOutgoing(t *testing.T) {
	const ok, refusal = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 400 "
	release := make(chan struct{})
	stall := func(head string) func(io.Writer, string) {
		return func(w io.Writer, _ string) { _, _ = io.WriteString(w, head); <-release }
	}
	rows := []struct {
		name   string
		answer func(io.Writer, string)
		dead   bool // the code is refused by every provider
		taken  bool // a webhook's receiver has accepted the message
	}{
		{"stalls", stall(""), false, false},
		{"stalls in the header", stall(ok + "X: "), false, false},
		{"stalls in the body", stall(ok + "Content-Length: 9\r\n\r\n{"), false, true},
		{"floods the status", repeated(ok[:12], "x"), false, false},
		{"floods the header", repeated(ok, "X: y\r\n"), false, false},
		{"floods the body", repeated(ok+"\r\n", "x"), false, true},
		{"floods a refusal", repeated(refusal+"No\r\n\r\n", "x"), true, false},
		{"lies", func(w io.Writer, _ string) { _, _ = io.WriteString(w, ok+"Content-Type: text/html\r\n\r\n<html>") }, false, true},
		{"echoes without HTTP", func(w io.Writer, r string) { _, _ = io.WriteString(w, r+"\r\n\r\n") }, false, false},
		{"echoes in success", func(w io.Writer, r string) { _, _ = fmt.Fprintf(w, "%sX: %s\r\n\r\n%s", ok, r, r) }, false, true},
		{"echoes in a refusal", func(w io.Writer, r string) {
			_, _ = fmt.Fprintf(w, "%s%s\r\nX: %s\r\nContent-Type: application/json\r\n\r\n"+`{"Code":"%[2]s","code":"%[2]s","message":"%[2]s"}`, refusal, r, r)
		}, true, false},
		{"echoes as a redirect", func(w io.Writer, r string) { _, _ = fmt.Fprintf(w, "HTTP/1.1 307 X\r\nLocation: /%s\r\n\r\n", r) }, true, false},
		{"echoes after the answer", func(w io.Writer, r string) { _, _ = fmt.Fprintf(w, "%sContent-Length: 0\r\n\r\n%s", ok, r) }, false, true},
	}
	defer close(release)
	for _, provider := range []string{"webhook", "aliyun", "tencent", "twilio"} {
		d := newDeployment(t, repository.SQLite, "CODE_LENGTH=10", "CODE_PER_IP_HOUR=0", "CODE_PER_IP_DAY=0", "CODE_PER_BLOCK_HOUR=0", "CODE_PER_BLOCK_DAY=0")
		v := newVendors(t, d.secrets)
		if provider != "webhook" {
			d.settings = append(d.settings, v.settings(provider, "")...)
		}
		d.start(t)
		forms := make([]form, len(rows))
		for i, row := range rows {
			forms[i] = form{Mobile: d.number()}
			v.setResponse(provider, forms[i].Mobile, takeOver(row.answer))
			d.messages.setResponse("+86"+forms[i].Mobile, takeOver(row.answer))
		}
		answers := runAtOnce(len(rows), func(i int) answer {
			return d.send(t, call{path: "/auth/mobile/code", body: codeBody(forms[i].Mobile)}.request(t, d.public))
		})
		for i, row := range rows {
			t.Run(provider+" "+row.name, func(t *testing.T) {
				wanted := int32(50301)
				if provider == "webhook" && row.taken {
					wanted = 0
				}
				if answers[i].code != wanted || answers[i].took > patience {
					t.Errorf("answered %d after %s, want %d", answers[i].code, answers[i].took, wanted)
				}
				f := forms[i]
				if provider == "webhook" {
					f.ValidateNo = d.messages.nextMessage(t, "+86"+f.Mobile).Code
				} else {
					_, f.ValidateNo = v.codeSent(f.Mobile)
				}
				if row.dead {
					d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40002})
					return
				}
				d.login(t, f)
			})
		}
		d.stop(t) // what it logged is searched, and its lines are measured
	}
}
