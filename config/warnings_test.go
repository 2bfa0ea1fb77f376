package config_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPublicProxies: proxies are judged together, as peers are compared with them: what
// trusts more than a /8 or a /16 of the public internet is a warning, refused in production.
func TestPublicProxies(t *testing.T) {
	odd := []string{} // every second /16 of the internet
	for n := 1; n < 256; n += 2 {
		odd = append(odd, fmt.Sprintf("11.%d.0.0/16", n), fmt.Sprintf("12.%d.0.0/16", n), fmt.Sprintf("13.%d.0.0/16", n))
	}
	for proxies, public := range map[string]bool{
		"": false,
		"10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, 127.0.0.0/8, fc00::/7, fe80::/10, ::1": false,
		"8.0.0.0/8, 10.0.0.0/8":            false,
		"8.0.0.0/8, 8.1.0.0/16, 8.0.0.0/8": false, // nothing twice
		"::ffff:8.0.0.0/104":               false,
		"2001::/16":                        false,
		"173.245.48.0/20, 103.21.244.0/22, 141.101.64.0/18, 108.162.192.0/18, 162.158.0.0/15, 104.16.0.0/13, 172.64.0.0/13, 2606:4700::/32": false,
		"0.0.0.0/0":                              true,
		"::/0":                                   true,
		"::ffff:0:0/96":                          true,
		"64:ff9b::/96":                           true,
		"64:ff9b::/64":                           true,
		"64:ff9b::8.0.0.0/104, 10.0.0.0/8":       false,
		"64:ff9b::8.0.0.0/104, 9.0.0.0/8":        true,
		"::ffff:0.0.0.0/97, ::ffff:128.0.0.0/97": true,
		"0.0.0.0/1, 128.0.0.0/1":                 true,
		"8.0.0.0/7":                              true,
		"8.0.0.0/8, 9.0.0.0/8":                   true,
		"8.0.0.0/8, 9.0.0.1":                     true,
		"8.0.0.0/8, ::ffff:9.0.0.0/104":          true,
		"2000::/3":                               true,
		"2001::/16, 2002::/16":                   true,
		strings.Join(odd, ", "):                  true,
	} {
		_, warnings, err := load(t, "server: {trusted_proxies: ['"+strings.ReplaceAll(proxies, ", ", "', '")+"']}\n")
		if proxies == "" {
			_, warnings, err = load(t, "")
		}
		warned := len(warnings) == 1 && strings.HasPrefix(warnings[0], "server.trusted_proxies: ")
		if err != nil || warned != public || len(warnings) > 1 {
			t.Errorf("%.60s: warnings %q, error %v", proxies, warnings, err)
		}
		_, warnings, err = load(t, "", production("MENSHEN_SERVER_TRUSTED_PROXIES="+proxies)...)
		if refused := err != nil && len(problems(t, err)) == 1 && strings.HasPrefix(err.Error(), "server.trusted_proxies: "); refused != public || len(warnings) > 0 {
			t.Errorf("production: %.60s: warnings %q, error %v", proxies, warnings, err)
		}
	}
}

// TestPlainDatabase: MySQL over a network without TLS is a warning in production, which
// shows nothing of the DSN.
func TestPlainDatabase(t *testing.T) {
	for dsn, plain := range map[string]bool{
		"u:" + canary + "@tcp(mysql:3306)/menshen":                    true,
		"u:" + canary + "@tcp(10.0.0.5:3306)/menshen?timeout=1s":      true,
		"u:" + canary + "@tcp6([2001:db8::1]:3306)/menshen?tls=false": true,
		"u:" + canary + "@tcp(db.example.com)/menshen?tls=preferred":  true,
		"u:" + canary + "@tcp(db.example.com:3306)/menshen?tls=true":  false,

		"u:" + canary + "@tcp(db.example.com:3306)/menshen?tls=true&allowFallbackToPlaintext=true": true,

		"u:" + canary + "@tcp(mysql:3306)/menshen?tls=skip-verify": false,
		"u:" + canary + "@tcp(127.0.0.1:3306)/menshen":             false,
		"u:" + canary + "@tcp([::1]:3306)/menshen":                 false,
		"u:" + canary + "@tcp(localhost)/menshen":                  false,
		"u:" + canary + "@unix(/run/mysqld/mysqld.sock)/menshen":   false,
		"u:" + canary + "@/menshen":                                false,
	} {
		settings := []string{"MENSHEN_DATABASE_DRIVER=mysql", "MENSHEN_DATABASE_DSN=" + dsn}
		_, warnings, err := load(t, "", production(settings...)...)
		warned := len(warnings) == 1 && strings.HasPrefix(warnings[0], "database.dsn: ") && !strings.Contains(warnings[0], canary)
		if err != nil || warned != plain || len(warnings) > 1 {
			t.Errorf("%s: warnings %q, error %v", dsn, warnings, err)
		}
		mustLoad(t, "", settings...)
	}
}

// TestTestNumbersInForce: production warns while a test number is in force.
func TestTestNumbersInForce(t *testing.T) {
	for until, inForce := range map[time.Time]bool{
		today: false, today.Add(time.Second): true, today.Add(366 * 24 * time.Hour): true, today.Add(-time.Hour): false,
	} {
		_, warnings, err := load(t, "", production(testNumber("246813", until))...)
		warned := len(warnings) == 1 && strings.HasPrefix(warnings[0], "code.test_numbers: in force: 1;") && !strings.Contains(warnings[0], "13800138000")
		if err != nil || warned != inForce || len(warnings) > 1 {
			t.Errorf("until %s: warnings %q, error %v", until, warnings, err)
		}
		mustLoad(t, "", testNumber("123456", until.AddDate(10, 0, 0)))
	}
}

// TestVendorLimits: a vendor that documents less for one number than its pools allow
// together is a warning, which names the keys whose sum is too great: twice the key, and
// half of it more where a challenge is configured.
func TestVendorLimits(t *testing.T) {
	const all = "code.cooldown, code.per_mobile_hour, code.per_mobile_day: "
	const challenged = "challenge: {provider: turnstile, secret: hush}"
	for name, row := range map[string]struct{ sms, code, more, keys string }{
		"as shipped":              {aliyun, "{}", "", all},
		"as fallback":             {strings.Replace(aliyun, "provider: ", "fallback: ", 1), "{}", "", all},
		"all that it sends":       {aliyun, "{per_mobile_hour: 2, per_mobile_day: 5}", "", "code.cooldown: "},
		"one more in an hour":     {aliyun, "{per_mobile_hour: 3, per_mobile_day: 5}", "", "code.cooldown, code.per_mobile_hour: "},
		"one more in a day":       {aliyun, "{per_mobile_hour: 2, per_mobile_day: 6}", "", "code.cooldown, code.per_mobile_day: "},
		"challenges":              {aliyun, "{per_mobile_hour: 2, per_mobile_day: 4}", challenged, "code.cooldown: "},
		"challenges, one more":    {aliyun, "{per_mobile_hour: 2, per_mobile_day: 5}", challenged, "code.cooldown, code.per_mobile_day: "},
		"by the cooldown":         {aliyun, "{cooldown: 6h, per_mobile_hour: 9, per_mobile_day: 90}", "", "code.cooldown: "},
		"by a shorter one":        {aliyun, "{cooldown: 20m, per_mobile_hour: 9, per_mobile_day: 5}", "", "code.cooldown, code.per_mobile_hour: "},
		"without limits":          {aliyun, "{cooldown: 0s, per_mobile_hour: 0, per_mobile_day: 0}", "", all},
		"without limit of a day":  {aliyun, "{per_mobile_hour: 2, per_mobile_day: 0}", "", "code.cooldown, code.per_mobile_day: "},
		"a vendor without any":    {tencent, "{}", "", ""},
		"a section without a use": {strings.TrimPrefix(aliyun, "provider: aliyun, "), "{}", "", ""},
	} {
		_, warnings, err := load(t, "sms: {"+row.sms+"}\ncode: "+row.code+"\n"+row.more+"\n")
		warned := len(warnings) == 1 && strings.HasPrefix(warnings[0], row.keys) && strings.Contains(warnings[0], "aliyun") && !strings.Contains(warnings[0], "hush")
		if err != nil || warned != (row.keys != "") || len(warnings) > 1 {
			t.Errorf("%s: warnings %q, error %v", name, warnings, err)
		}
	}
}

// TestFilesOfSecrets: a file with a secret that other users may read is a warning, which
// names the variables and no value; one that is for the process's group is none.
func TestFilesOfSecrets(t *testing.T) {
	secret := write(t, "secret", key(1, 32))
	products := write(t, "products", `[{"type":0,"group":"app"}]`)
	clients := write(t, "clients", `[{"id":"a","secret":"`+strings.Repeat("ab", 16)+`"}]`)
	files := []string{"MENSHEN_SECRET_KEY_FILE=" + secret, "MENSHEN_CLIENTS_FILE=" + clients, "MENSHEN_PRODUCTS_FILE=" + products}
	for mode, open := range map[os.FileMode]bool{0o400: false, 0o600: false, 0o440: false, 0o640: false, 0o444: true, 0o644: true, 0o620: true, 0o604: true} {
		for _, file := range []string{secret, products, clients} {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
		}
		_, warnings, err := load(t, "", files...)
		warned := len(warnings) == 1 && strings.HasPrefix(warnings[0], "MENSHEN_SECRET_KEY_FILE, MENSHEN_CLIENTS_FILE: ") && !strings.Contains(warnings[0], secret)
		if err != nil || warned != open || len(warnings) > 1 {
			t.Errorf("%o: warnings %q, error %v", mode, warnings, err)
		}
	}
}

// TestLax: outside production each value that production would refuse is named by its key,
// and what is generated; production has none.
func TestLax(t *testing.T) {
	for name, row := range map[string]struct {
		settings []string
		want     string
	}{
		"as shipped": {nil, "env sms.provider secret.key admin.keys"},
		"lax": {[]string{"MENSHEN_CODE_COOLDOWN=0s", "MENSHEN_TOKEN_ACCESS_TTL=1s", "MENSHEN_SERVER_TRUSTED_PROXIES=0.0.0.0/0"},
			"env server.trusted_proxies sms.provider code.cooldown token.access_ttl secret.key admin.keys"},
		"test":       {production("MENSHEN_ENV=test", `MENSHEN_ADMIN_KEYS=[{"name":"a","key":"`+strings.Repeat("changeme", 4)+`"}]`), "env admin.keys[0].key"},
		"production": {production(), ""},
	} {
		cfg, _, err := load(t, "", row.settings...)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(row.want)
		if !slices.Equal(cfg.Lax, want) && len(cfg.Lax)+len(want) > 0 {
			t.Errorf("%s: %q, want %q", name, cfg.Lax, want)
		}
	}
}

// TestMaskedQueries: the query of a URL is masked, and nothing else of it.
func TestMaskedQueries(t *testing.T) {
	cfg := mustLoad(t, "sms: {provider: webhook, webhook: {url: 'https://sms.example.com/send?token="+canary+"', secret: whsec_"+key(1, 24)+"}}\n")
	if shown := cfg.Masked(); strings.Contains(shown, canary) || !strings.Contains(shown, "url: https://sms.example.com/send?***\n") {
		t.Errorf("Masked shows\n%s", shown)
	}
}

// TestDevOpen: pages of development without their condition are a warning at each start, and refused in
// production.
func TestDevOpen(t *testing.T) {
	_, warnings, err := load(t, "dev: {open: true}\n")
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "dev.open: ") {
		t.Errorf("warnings %q, error %v", warnings, err)
	}
	_, _, err = load(t, "", production("MENSHEN_DEV_OPEN=true")...)
	if err == nil || len(problems(t, err)) != 1 || !strings.HasPrefix(err.Error(), "dev.open: ") {
		t.Errorf("production: %v", err)
	}
}
