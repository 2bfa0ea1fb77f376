package scenario

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// testCodes: one answer for every way in which a code can be wrong.
func testCodes(t *testing.T, d *deployment) {
	wrong := func(t *testing.T, f form) {
		t.Helper()
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40002, want: "null"})
	}
	t.Run("never sent", func(t *testing.T) { wrong(t, form{Mobile: d.number(), ValidateNo: "0123456789"}) })
	t.Run("empty", func(t *testing.T) { wrong(t, form{Mobile: d.number(), ValidateNo: ""}) })
	t.Run("used", func(t *testing.T) {
		f := form{Mobile: d.number()}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		d.login(t, f)
		wrong(t, f)
	})
	t.Run("superseded", func(t *testing.T) {
		f := form{Mobile: d.number()}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		newest := d.sendCode(t, f.Mobile, 0)
		wrong(t, f)
		f.ValidateNo = newest
		d.login(t, f)
	})
	t.Run("expired", func(t *testing.T) {
		f := form{Mobile: d.number()}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		d.exec(t, "UPDATE codes SET expires_at = ? WHERE sent_at = (SELECT * FROM (SELECT MAX(sent_at) FROM codes) newest)", time.Now().UnixMilli())
		wrong(t, f)
	})
	t.Run("of another company", func(t *testing.T) {
		f := form{Mobile: d.number(), CompanyType: 1}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		wrong(t, f)
		d.login(t, form{Mobile: f.Mobile, CompanyType: 1})
		f.CompanyType = 0 // neither attempts nor newer codes of the other one touched it
		d.login(t, f)
	})
	t.Run("of another number", func(t *testing.T) {
		mine, theirs := d.number(), d.number()
		code := d.sendCode(t, mine, 0)
		d.sendCode(t, theirs, 0)
		wrong(t, form{Mobile: theirs, ValidateNo: code})
	})
	t.Run("for every product", func(t *testing.T) {
		f := form{Mobile: d.number(), ProductType: 2147483647}
		d.login(t, f) // asked for with product 0
	})
	t.Run("exactly as it is", func(t *testing.T) {
		f := form{Mobile: d.number()}
		code := d.sendCode(t, f.Mobile, 0)
		wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
		for _, spelling := range []string{" " + code, code + " ", wide, "0" + code} {
			f.ValidateNo = spelling
			wrong(t, f)
		}
		f.ValidateNo = code // the fifth attempt
		d.login(t, f)
	})
	t.Run("dead after five attempts", func(t *testing.T) {
		f := form{Mobile: d.number()}
		code := d.sendCode(t, f.Mobile, 0)
		f.ValidateNo = "none"
		for range 5 {
			wrong(t, f)
		}
		f.ValidateNo = code
		wrong(t, f)
		d.login(t, form{Mobile: f.Mobile}) // another code does
	})
	t.Run("of another purpose", func(t *testing.T) {
		f := form{Mobile: d.number()}
		for _, purpose := range []string{"change", "delete"} {
			d.do(t, call{path: "/auth/mobile/code", body: strings.Replace(codeBody(f.Mobile), "{", `{"purpose":"`+purpose+`",`, 1)})
			m := d.messages.nextMessage(t, "+86"+f.Mobile)
			if m.Purpose != purpose {
				t.Errorf("the provider was told %+v", m)
			}
			f.ValidateNo = m.Code
			wrong(t, f)
		}
		d.do(t, call{path: "/auth/mobile/code", body: strings.Replace(codeBody(f.Mobile), "{", `{"purpose":"any",`, 1), code: 40000, fields: []string{"purpose unknown"}})
	})
	t.Run("where registration is closed", func(t *testing.T) {
		f := form{Mobile: d.number(), CompanyType: 2}
		f.ValidateNo = d.sendCode(t, f.Mobile, 2)
		wrong(t, f)
	})
	t.Run("sixteen at once", func(t *testing.T) {
		f := form{Mobile: d.number()}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		row := call{path: "/auth/mobile/login", body: jsonOf(t, f)}
		answers := withoutTimeouts(t, runAtOnce(16, func(int) answer { return d.send(t, row.request(t, d.public)) }))
		if codes := countCodes(answers); codes[0] != 1 || codes[40002] != len(answers)-1 {
			t.Errorf("the logins answer %v", codes)
		}
		for _, a := range answers {
			if a.code == 0 {
				d.accountOf(t, a)
			}
		}
	})
	t.Run("is sent for a banned number alike", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number()})
		d.exec(t, "UPDATE users SET banned_until = ? WHERE id = ?", time.Now().Add(time.Hour).UnixMilli(), a.UserInfo.ID)
		d.sendCode(t, a.UserInfo.Mobile, 0)
	})
}

// testNumbers: every spelling of a number is accepted as that number, anything
// else is refused.
func testNumbers(t *testing.T, d *deployment) {
	mobile := d.number()
	first := d.login(t, form{Mobile: mobile})
	for _, spelling := range []string{
		"+86" + mobile, "0086" + mobile, "+86 139-" + mobile[3:7] + "-" + mobile[7:], " " + mobile + " ", "(139) " + mobile[3:],
		"\u202d+86 " + mobile + "\u202c", "\ufeff" + mobile, mobile[:5] + "\u200b" + mobile[5:], mobile[:3] + "\u2009" + mobile[3:7] + "\u202f" + mobile[7:], "\u3000" + mobile[:3] + "\u200d" + mobile[3:] + "\u200e",
		mobile[:3] + "." + mobile[3:7] + "." + mobile[7:], "＋８６" + strings.Map(func(r rune) rune { return r - '0' + '０' }, mobile),
	} {
		t.Run(spelling, func(t *testing.T) {
			f := form{Mobile: spelling}
			d.do(t, call{path: "/auth/mobile/code", body: codeBody(spelling)})
			f.ValidateNo = d.messages.nextMessage(t, "+86"+mobile).Code
			if again := d.login(t, f); again.UserInfo != first.UserInfo {
				t.Errorf("the user is %+v, want %+v", again.UserInfo, first.UserInfo)
			}
		})
	}
	for _, text := range []string{
		"", " ", "1", "12345678901", "1390000000", "139000000001", "010-62345678", "+1 202 555 0123", "+852 5123 4567", "+86 139 0000 000",
		"86" + mobile, "+" + mobile, "0" + mobile, "+860" + mobile, "tel:" + mobile, mobile + ";ext=1", "1-800-FLOWERS", "١٣٩٠٠٠٠٠٠٠١",
		mobile + "\n", "\t" + mobile, mobile + "\x00", mobile[:5] + "\u2028" + mobile[5:], mobile[:5] + "\u0600" + mobile[5:], mobile[:5] + "\u3164" + mobile[5:], strings.Repeat("1", 8000), mobile + "," + mobile,
	} {
		t.Run(fmt.Sprintf("%.20q", text), func(t *testing.T) {
			d.do(t, call{path: "/auth/mobile/code", body: jsonOf(t, form{Mobile: text}), code: 40001, want: "null"})
			d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: text}), code: 40001, want: "null"})
		})
	}
	t.Run("one account per company", func(t *testing.T) {
		other := d.login(t, form{Mobile: mobile, CompanyType: 1})
		if other.UserInfo.ID == first.UserInfo.ID || other.UserInfo.UserName == first.UserInfo.UserName || other.UserInfo.CompanyType != 1 {
			t.Errorf("the user is %+v", other.UserInfo)
		}
		least := d.login(t, form{Mobile: mobile, CompanyType: -2147483648})
		if least.UserInfo.CompanyType != -2147483648 || least.claims.text("company_type") != "-2147483648" {
			t.Errorf("the user is %+v, the claims %v", least.UserInfo, least.claims)
		}
	})
}

// testProvider: a code that the provider does not accept.
func testProvider(t *testing.T, d *deployment) {
	f := form{Mobile: d.number()}
	e164 := "+86" + f.Mobile
	f.ValidateNo = d.sendCode(t, f.Mobile, 0)
	for name, mood := range map[string]http.HandlerFunc{
		"refuses":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			d.messages.setResponse(e164, mood)
			d.do(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile), code: 50301, want: "null"})
			dead := f
			dead.ValidateNo = d.messages.nextMessage(t, e164).Code
			d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, dead), code: 40002})
			d.messages.wantNoMessage(t, e164)
		})
	}
	t.Run("the code before is still good", func(t *testing.T) { d.login(t, f) })
	t.Run("does not answer", func(t *testing.T) {
		release := make(chan struct{})
		d.messages.setResponse(e164, func(http.ResponseWriter, *http.Request) { <-release })
		begin := time.Now()
		d.do(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile), code: 50301})
		if took := time.Since(begin); took < 2500*time.Millisecond || took > patience {
			t.Errorf("the answer took %s", took)
		}
		close(release)
		f.ValidateNo = d.messages.nextMessage(t, e164).Code // it came all the same
		d.login(t, f)
	})
}
