package scenario

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"menshen/cli"
	"menshen/repository"
)

// TestSMSTest: a test message goes by the real vendor without a database and apart from all
// limits, its code opens nothing, and a refusal says what to mend.
func TestSMSTest(t *testing.T) {
	t.Parallel()
	var forms []string
	answers := []string{`{"Code":"OK","BizId":"900619746936498440^0"}`, `{"Code":"isv.SMS_TEMPLATE_ILLEGAL","Message":"x"}`}
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		forms = append(forms, r.Form.Encode())
		_, _ = w.Write([]byte(answers[min(len(forms), len(answers))-1]))
	}))
	defer vendor.Close()
	d := newDeployment(t, repository.SQLite, "SMS_PROVIDER=aliyun", "SMS_ALIYUN_ENDPOINT="+vendor.URL, "SMS_ALIYUN_ACCESS_KEY_ID=id", "SMS_ALIYUN_ACCESS_KEY_SECRET=canary-vendor-secret",
		`SMS_TEMPLATES=[{"provider":"aliyun","purposes":["delete"],"sign":"s","template":"SMS_2"},{"provider":"aliyun","sign":"s","template":"SMS_1"}]`, "CODE_PER_MOBILE_DAY=1", "CODE_DAILY_BUDGET=1")
	exit, out, complaint := d.command(t, "sms", "test", "-to", "+86 138-0013-8000")
	for _, want := range []string{"aliyun", "sms.templates[1] SMS_1", "accepted", "900619746936498440^0"} {
		if exit != cli.ExitOK || !strings.Contains(out, want) {
			t.Errorf("exit %d, %q, %q, want %s", exit, out, complaint, want)
		}
	}
	if len(forms) != 1 || !strings.Contains(forms[0], "123456") || !strings.Contains(forms[0], "13800138000") || !strings.Contains(forms[0], "SMS_1") {
		t.Errorf("the vendor received %q", forms)
	}
	exit, out, complaint = d.command(t, "sms", "test", "-to=13800138000", "-provider", "aliyun", "-purpose", "delete", "-language", "en", "-company", "1", "-product", "0")
	if exit != cli.ExitFailure || !strings.Contains(out, "refused") || !strings.Contains(out, "SMS_2") || !strings.Contains(out, "the template does not exist") || !strings.Contains(out, "模板不存在") || !strings.Contains(complaint, "not accepted") {
		t.Errorf("refused: exit %d, %q, %q", exit, out, complaint)
	}
	if strings.Contains(out+complaint, "canary") || strings.Contains(out+complaint, "123456") {
		t.Errorf("a secret or the code: %q, %q", out, complaint)
	}
	for _, args := range [][]string{{"-to", "x", "-company", "9"}, {"-to", "13800138000", "-provider", "twilio"}, {"-to", "13800138000", "-purpose", "x"}, {"-to", "13800138000", "-language", "fr"}, {"-to", "13800138000", "-product", "9"}} {
		if exit, out, _ := d.command(t, append([]string{"sms", "test"}, args...)...); exit == cli.ExitOK || out != "" {
			t.Errorf("%q: exit %d, %q", args, exit, out)
		}
	}
	if len(forms) != 2 {
		t.Errorf("%d messages", len(forms))
	}
}
