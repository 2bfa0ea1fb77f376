package scenario

import (
	"strings"
	"testing"

	"menshen/cli"
	"menshen/repository"
)

// inProduction are the settings of a deployment in production.
func inProduction(settings ...string) []string {
	return append([]string{
		"ENV=production", "SECRET_KEY=" + secretOf("production, but a random one"), "SMS_WEBHOOK_URL=https://sms.example.com/send", "LIMITS_ENABLED=true",
	}, settings...)
}

// TestLaxStart: outside production a start says in one line what is lax, each by its key,
// and check-config says the same; production says nothing of the kind.
func TestLaxStart(t *testing.T) {
	t.Parallel()
	const line = "these keys are laxer than production allows"
	lax := newDeployment(t, repository.SQLite, "CODE_COOLDOWN=0s", "SERVER_TRUSTED_PROXIES=0.0.0.0/0")
	lax.start(t)
	lax.log.await(t, 0, line)
	lax.stop(t)
	_, after, _ := strings.Cut(lax.log.text(), line)
	warning, _, _ := strings.Cut(after, "\n")
	keys := []string{"env", "server.trusted_proxies", "sms.webhook.url", "code.cooldown", "secret.key", "admin.keys"}
	if want := `"env":"dev","lax":["` + strings.Join(keys, `","`) + `"]`; !strings.Contains(warning, want) || strings.Count(lax.log.text(), line) != 1 {
		t.Errorf("it says %s, want %s", warning, want)
	}
	if _, _, complaint := lax.command(t, "check-config"); !strings.Contains(complaint, line+": "+strings.Join(keys, ", ")+"\n") {
		t.Errorf("check-config says %s", complaint)
	}

	production := newDeployment(t, repository.SQLite, inProduction()...)
	for _, args := range [][]string{{"keys", "rotate"}, {"check-config"}} {
		if exit, _, complaint := production.command(t, args...); exit != cli.ExitOK || complaint != "" {
			t.Errorf("%q: exit %d, %s", args, exit, complaint)
		}
	}
	production.start(t)
	production.stop(t)
	if text := production.log.text(); strings.Contains(text, `"level":"warn"`) {
		t.Errorf("production warns: %s", text)
	}
}
