package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/config"
)

// contract holds the defaults of contract §8 to §10.
func contract() *config.Config {
	return &config.Config{
		Env:     "dev",
		DataDir: "data",
		Server: config.Server{
			Addr: ":8080", AdminAddr: "127.0.0.1:8081", AdminHosts: []string{}, IdleTimeout: 75 * time.Second, MaxConnsPerIP: 2000, TrustedProxies: []string{},
			CORSOrigins: []string{}, Docs: true, Always200: false, Locale: "zh-CN",
		},
		Database: config.Database{Driver: "sqlite", MaxConns: 32},
		SMS: config.SMS{
			Provider: "log", Routes: []config.Route{}, DefaultRegion: "CN", Regions: []string{"CN"},
			Aliyun:     config.Aliyun{Endpoint: "https://dysmsapi.aliyuncs.com", ReceiptTokens: []config.Secret{}, Receipts: "push"},
			Tencent:    config.Tencent{Endpoint: "https://sms.tencentcloudapi.com", Region: "ap-guangzhou", ReceiptTokens: []config.Secret{}, Receipts: "push"},
			Twilio:     config.Twilio{Endpoint: "https://api.twilio.com", ReceiptTokens: []config.Secret{}},
			SNS:        config.SNS{Region: "us-east-1"},
			Templates:  []config.Template{},
			Conversion: config.Conversion{Window: 15 * time.Minute, Margin: 30, Least: 20},
			Prices:     []config.Price{},
		},
		Code: config.Code{
			Length: 6, TTL: 5 * time.Minute, MaxAttempts: 5, Cooldown: time.Minute,
			PerMobileHour: 5, PerMobileDay: 10, PerIPHour: 100, PerIPDay: 500,
			PerBlockHour: 500, PerBlockDay: 2000, DailyBudget: 10000, HourlyShare: 25, Reserve: 30, FailsPerMobileDay: 20,
			Ticket: "optional", TestNumbers: []config.TestNumber{},
		},
		Guard: config.Guard{Action: config.GuardRecord, Window: time.Hour, Least: 50, Percent: 20, Burst: 5},
		Challenge: config.Challenge{
			Providers: []string{}, Timeout: 2 * time.Second,
			Turnstile: config.Siteverify{Hostnames: []string{}, URL: "https://challenges.cloudflare.com/turnstile/v0/siteverify"},
			HCaptcha:  config.HCaptcha{Hostnames: []string{}, URL: "https://api.hcaptcha.com/siteverify"},
			ReCAPTCHA: config.Siteverify{Hostnames: []string{}, URL: "https://www.google.com/recaptcha/api/siteverify"},
			GeeTest:   config.GeeTest{URL: "https://gcaptcha4.geetest.com/validate"},
			Aliyun:    config.AliyunChallenge{URL: "https://captcha.cn-shanghai.aliyuncs.com"},
			Tencent:   config.TencentChallenge{URL: "https://captcha.tencentcloudapi.com"},
		},
		Limits:    config.Limits{Enabled: true, Login: 120, Refresh: 120, Check: 120, Other: 1200, Guess: 10},
		Retention: config.Retention{Sessions: 90 * 24 * time.Hour, Events: 180 * 24 * time.Hour, Messages: 30 * 24 * time.Hour},
		Token: config.Token{
			Issuer: "menshen", Audience: []string{"menshen"}, Algorithm: "ES256",
			KeyActivation: 15 * time.Minute, AccessTTL: 15 * time.Minute, RefreshTTL: 720 * time.Hour,
			IdleTTL: 336 * time.Hour, ReuseGrace: 30 * time.Second, Claims: config.Claims{},
		},
		Secret: config.SecretKeys{Previous: []config.Secret{}},
		Companies: []config.Company{
			{Type: 0, Name: "default", Registration: "open"},
			{Type: 1, Name: "second", Registration: "open"},
		},
		Products: []config.Product{product(0, "app"), product(1, "pc"), product(2, "wx")},
		Clients:  []config.Client{},
		Admin:    config.Admin{Keys: []config.AdminKey{}},
		Log:      config.Log{Level: "info", Format: "console"},
		Console:  config.Console{Enabled: true},
		Tracing:  config.Tracing{Ratio: 1},
		Lax:      []string{"env", "sms.provider", "secret.key", "admin.keys"},
	}
}

func product(typ int32, name string) config.Product {
	return config.Product{
		Type: typ, Name: name, Group: name, MaxSessions: 1, OnConflict: "replace",
		AccessTTL: 15 * time.Minute, RefreshTTL: 720 * time.Hour,
	}
}

func TestDefaultsAreTheContracts(t *testing.T) {
	if diff := cmp.Diff(contract(), mustLoad(t, "")); diff != "" {
		t.Error(diff)
	}
}

func TestPrecedence(t *testing.T) {
	file := "token: {issuer: from-file}\ncode: {length: 7, ttl: 2m}\n"
	secret := write(t, "issuer", "from-secret\n")
	for _, tt := range []struct {
		name    string
		file    string
		environ []string
		want    string
	}{
		{"embedded", "", nil, "menshen"},
		{"file over embedded", file, nil, "from-file"},
		{"variable over file", file, []string{"MENSHEN_TOKEN_ISSUER=from-env"}, "from-env"},
		{"variable without a file", "", []string{"MENSHEN_TOKEN_ISSUER=from-env"}, "from-env"},
		{"_FILE over file", file, []string{"MENSHEN_TOKEN_ISSUER_FILE=" + secret}, "from-secret"},
		{"_FILE over variable", file, []string{"MENSHEN_TOKEN_ISSUER_FILE=" + secret, "MENSHEN_TOKEN_ISSUER=from-env"}, "from-secret"},
		{"_FILE hides a bad variable", "", []string{"MENSHEN_TOKEN_ISSUER_FILE=" + secret, "MENSHEN_TOKEN_ISSUER=\x01"}, "from-secret"},
		{"last of two", "", []string{"MENSHEN_TOKEN_ISSUER=a", "MENSHEN_TOKEN_ISSUER=b"}, "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := mustLoad(t, tt.file, tt.environ...)
			if cfg.Token.Issuer != tt.want {
				t.Errorf("token.issuer = %q, want %q", cfg.Token.Issuer, tt.want)
			}
			if cfg.Token.AccessTTL != 15*time.Minute {
				t.Errorf("token.access_ttl = %s, want the default of a section given in part", cfg.Token.AccessTTL)
			}
		})
	}
}

func TestFileVariables(t *testing.T) {
	for text, want := range map[string]string{
		"value": "value", "value\n": "value", "value\r\n": "value", " value \n": " value ", "\n": "",
	} {
		cfg := mustLoad(t, "", "MENSHEN_DATABASE_DSN_FILE="+write(t, "dsn", text))
		if got := string(cfg.Database.DSN); got != want {
			t.Errorf("a file of %q gives %q, want %q", text, got, want)
		}
	}
	file := write(t, "clients", `[{"id":"orders","secret":"`+strings.Repeat("ab", 16)+`"}]`+"\n")
	cfg := mustLoad(t, "", "MENSHEN_CLIENTS_FILE="+file)
	if len(cfg.Clients) != 1 || cfg.Clients[0].ID != "orders" {
		t.Errorf("clients from a file = %+v", cfg.Clients)
	}
}

func TestListsReplaceTheDefault(t *testing.T) {
	cfg := mustLoad(t, "companies: [{type: 7}]\nserver: {cors_origins: ['https://a.example']}\n",
		"MENSHEN_TOKEN_AUDIENCE=app, pc", "MENSHEN_SERVER_CORS_ORIGINS=",
		`MENSHEN_PRODUCTS=[{"type":0,"group":"all","access_ttl":"1m"},
			{"type":-5,"name":"电视","group":"all","max_sessions":1,"refresh_ttl":"2h"}]`)
	if diff := cmp.Diff([]config.Company{{Type: 7, Registration: "open"}}, cfg.Companies); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"app", "pc"}, cfg.Token.Audience); diff != "" {
		t.Error(diff)
	}
	if len(cfg.Server.CORSOrigins) != 0 {
		t.Errorf("an empty variable gives cors_origins %q, want none", cfg.Server.CORSOrigins)
	}
	want := []config.Product{
		{Group: "all", MaxSessions: 1, OnConflict: "replace", AccessTTL: time.Minute, RefreshTTL: 720 * time.Hour},
		{Type: -5, Name: "电视", Group: "all", MaxSessions: 1, OnConflict: "replace", AccessTTL: 15 * time.Minute, RefreshTTL: 2 * time.Hour},
	}
	if diff := cmp.Diff(want, cfg.Products); diff != "" {
		t.Error(diff)
	}
}

func TestTestNumbers(t *testing.T) {
	want := []config.TestNumber{{
		Mobile: "13800138000", Code: "012389",
		Until: time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC),
	}}
	for _, tt := range []struct{ name, file, variable string }{
		{"quoted", `code: {test_numbers: [{mobile: "13800138000", code: "012389", until: "2030-01-31T00:00:00Z"}]}`, ""},
		{"bare digits mean themselves", "code: {test_numbers: [{mobile: 13800138000, code: 012389, until: 2030-01-31T00:00:00Z}]}", ""},
		{"JSON", "", `MENSHEN_CODE_TEST_NUMBERS=[{"mobile":"13800138000","code":"012389","until":"2030-01-31T00:00:00Z"}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(want, mustLoad(t, tt.file, tt.variable).Code.TestNumbers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValidConfigurations(t *testing.T) {
	sample := strings.Repeat("x", 32)
	for name, tt := range map[string]struct {
		file    string
		environ []string
	}{
		"a file of comments":       {file: "# nothing\n"},
		"an empty document":        {file: "---\n"},
		"a byte order mark":        {file: "\ufeffcode: {length: 8}\n"},
		"sections commented out":   {file: "sms:\n  # provider: webhook\nadmin:\n"},
		"null is empty":            {file: "database: {dsn: }\nclients:\nsecret: {key: ~, previous: ~}\n"},
		"an alias":                 {file: "token: {audience: &a [x, y]}\nserver: {trusted_proxies: []}\nsms: {regions: [CN]}\nlog: {level: debug}\n"},
		"least of dev":             {file: "code: {ttl: 1s, cooldown: 0}\ntoken: {access_ttl: 1s, refresh_ttl: 1s, idle_ttl: 1s, reuse_grace: 0s, key_activation: 0s}\n"},
		"code limits off in dev":   {file: "code: {cooldown: 0s, per_mobile_hour: 0, per_mobile_day: 0, per_ip_hour: 0, per_ip_day: 0, daily_budget: 0, fails_per_mobile_day: 0}\n"},
		"idle longer than refresh": {file: "token: {refresh_ttl: 1h, idle_ttl: 2h}\n"},
		"webhook in dev":           {file: "sms: {provider: webhook, webhook: {url: 'http://127.0.0.1:9/x?y=z', secret: whsec_" + key(3, 16) + "}}\n"},
		"mysql":                    {file: "database: {driver: mysql, dsn: 'root:p@ss/w:rd@tcp(127.0.0.1:3306)/menshen?timeout=1s'}\n"},
		"samples in dev":           {file: "secret: {key: " + key(0, 0) + "}\nclients: [{id: a, secret: " + sample + "}]\nadmin: {keys: [{name: a, key: " + sample + "}]}\n"},
		"test":                     {environ: []string{"MENSHEN_ENV=test"}},
		"production":               {environ: production()},
		"production on mysql":      {environ: production("MENSHEN_DATABASE_DRIVER=mysql", "MENSHEN_DATABASE_DSN=u:p@tcp(db:3306)/menshen?tls=true")},
		"request limits off":       {environ: production("MENSHEN_LIMITS_LOGIN=0", "MENSHEN_LIMITS_ENABLED=0")},
		"shortest idle_timeout":    {environ: production("MENSHEN_SERVER_IDLE_TIMEOUT=5s")},
		"longest idle_timeout":     {environ: production("MENSHEN_SERVER_IDLE_TIMEOUT=1h")},
		"any port":                 {file: "server: {addr: ':0', admin_addr: '127.0.0.1:0'}\n"},
		"IPv6":                     {file: "server: {addr: '[::]:80', admin_addr: '[::1]:81', trusted_proxies: ['fd00::/8', '::1', '::ffff:10.0.0.0/104', 10.0.0.1]}\n"},
		"origins":                  {file: "server: {cors_origins: ['https://a.example', 'http://localhost:3000', 'capacitor://localhost']}\n"},
		"regions":                  {file: "sms: {default_region: 'NO', regions: [CN, NO, HK]}\n"},
		"environment in vain":      {environ: []string{"PATH=/bin", "MENSHENX=1", "nonsense", "=x"}},
		"empty lists of objects":   {environ: []string{"MENSHEN_CLIENTS=", "MENSHEN_ADMIN_KEYS=[]", "MENSHEN_CODE_TEST_NUMBERS= "}},
	} {
		t.Run(name, func(t *testing.T) { mustLoad(t, tt.file, tt.environ...) })
	}
}

func TestFilePresence(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	o := config.Options{Defaults: shipped(t), File: missing}
	if _, _, err := config.Load(o); err != nil {
		t.Errorf("a file that need not be there: %v", err)
	}
	o.FileRequired = true
	_, _, err := config.Load(o)
	if list := problems(t, err); len(list) != 1 || list[0].Key != missing {
		t.Errorf("a missing file: %v, want one problem that names it", err)
	}
	o.File, o.FileRequired = t.TempDir(), false
	if _, _, err := config.Load(o); err == nil {
		t.Error("a directory is accepted as a file")
	}
	o.File = "/dev/zero"
	if _, err := os.Stat(o.File); err == nil {
		if _, _, err := config.Load(o); err == nil || !strings.Contains(err.Error(), "1 MiB") {
			t.Errorf("an endless file: %v", err)
		}
	}
}

func TestUnknownVariablesAreWarnings(t *testing.T) {
	_, warnings, err := load(t, "",
		"MENSHEN_SERVICE_HOST="+canary, "MENSHEN_CODE_LENGHT="+canary, "MENSHEN_TOKEN="+canary, "MENSHEN_FOO_FILE="+canary)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"MENSHEN_CODE_LENGHT", "MENSHEN_FOO_FILE", "MENSHEN_SERVICE_HOST", "MENSHEN_TOKEN"}
	if len(warnings) != len(want) {
		t.Fatalf("warnings %q, want one for each of %q", warnings, want)
	}
	for i, warning := range warnings {
		if !strings.HasPrefix(warning, want[i]+":") || strings.Contains(warning, canary) {
			t.Errorf("warning %q, want the name %s and no value", warning, want[i])
		}
	}
}

func TestDefaultsMustBeComplete(t *testing.T) {
	_, _, err := config.Load(config.Options{Defaults: []byte("env: dev\n")})
	if !strings.Contains(problems(t, err).Error(), "embedded config.yaml") {
		t.Errorf("half of the embedded file is accepted: %v", err)
	}
}

func TestPaths(t *testing.T) {
	cfg := mustLoad(t, "data_dir: /var/lib/menshen\n")
	for got, want := range map[string]string{
		cfg.DatabaseDSN():   "file:/var/lib/menshen/menshen.db",
		cfg.KeyDir():        "/var/lib/menshen/keys",
		cfg.SecretKeyFile(): "/var/lib/menshen/secret.key",
		cfg.AdminKeyFile():  "/var/lib/menshen/admin.key",
	} {
		if got != want {
			t.Errorf("path %q, want %q", got, want)
		}
	}
	cfg = mustLoad(t, "database: {dsn: /tmp/x.db}\ntoken: {key_dir: /etc/keys}\n")
	if cfg.DatabaseDSN() != "/tmp/x.db" || cfg.KeyDir() != "/etc/keys" {
		t.Errorf("given paths become %q and %q", cfg.DatabaseDSN(), cfg.KeyDir())
	}
	if cfg.Production() || !mustLoad(t, "", production()...).Production() {
		t.Error("Production does not follow env")
	}
}
