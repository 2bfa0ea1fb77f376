package config_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"

	"menshen/config"
)

// withCanaries is a configuration with a canary in every secret.
func withCanaries(t *testing.T) *config.Config {
	t.Helper()
	cfg := mustLoad(t, "")
	secret := config.Secret(canary)
	cfg.Challenge.Secret, cfg.Challenge.Turnstile.Secret = secret, secret
	c := &cfg.Challenge
	c.HCaptcha.Secret, c.ReCAPTCHA.Secret, c.GeeTest.CaptchaKey, c.Aliyun.AccessKeySecret = secret, secret, secret, secret
	c.Tencent.SecretKey, c.Tencent.AppSecretKey = secret, secret
	cfg.Database = config.Database{Driver: "mysql", DSN: "root:" + canary + "@tcp(db:3306)/menshen?timeout=1s"}
	cfg.SMS.Webhook.Secret, cfg.SMS.Aliyun.AccessKeySecret = secret, secret
	cfg.SMS.Tencent.SecretKey, cfg.SMS.Twilio.AuthToken, cfg.SMS.SNS.SecretAccessKey = secret, secret, secret
	cfg.SMS.Twilio.ReceiptURL, cfg.SMS.Twilio.ReceiptTokens = secret, []config.Secret{secret, secret}
	cfg.SMS.Aliyun.ReceiptTokens, cfg.SMS.Tencent.ReceiptTokens = []config.Secret{secret}, []config.Secret{secret}
	cfg.Secret = config.SecretKeys{Key: secret, Previous: []config.Secret{secret, secret}}
	cfg.Clients = []config.Client{{ID: "orders", Secret: secret}}
	cfg.Admin.Keys = []config.AdminKey{{Name: "alice", Key: secret}}
	cfg.Code.TestNumbers = []config.TestNumber{{Mobile: secret, Code: secret}}
	return cfg
}

func TestSecretsShowNowhere(t *testing.T) {
	cfg := withCanaries(t)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s"} {
		fmt.Fprintf(&out, verb+"\n", cfg)
		fmt.Fprintf(&out, verb+"\n", *cfg)
		fmt.Fprintf(&out, verb+"\n", cfg.Secret.Key)
		fmt.Fprintf(&out, verb+"\n", cfg.Database.DSN)
		fmt.Fprintf(&out, verb+"\n", &cfg.Secret.Key)
		fmt.Fprintf(&out, verb+"\n", map[config.Secret]config.DSN{cfg.Secret.Key: cfg.Database.DSN})
	}
	for name, marshal := range map[string]func(any) ([]byte, error){
		"JSON": json.Marshal, "XML": xml.Marshal, "YAML": yaml.Marshal,
	} {
		text, err := marshal(cfg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		out.Write(text)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "cfg", cfg, "key", cfg.Secret.Key, "dsn", cfg.Database.DSN)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "cfg", *cfg, "key", cfg.Secret.Key, "dsn", cfg.Database.DSN)
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	logger := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&out), zap.DebugLevel))
	logger.Info("x", zap.Any("cfg", cfg), zap.Any("key", cfg.Secret.Key), zap.Any("dsn", cfg.Database.DSN))
	logger.Sugar().Infof("%v %+v", cfg, cfg.Admin)
	out.WriteString(cfg.Masked())

	for form, text := range map[string]string{
		"clear": canary, "hexadecimal": fmt.Sprintf("%x", canary), "capital hexadecimal": fmt.Sprintf("%X", canary),
	} {
		if at := strings.Index(out.String(), text); at >= 0 {
			t.Errorf("a secret shows in %s: …%q…", form, out.String()[max(0, at-60):at])
		}
	}
	if string(cfg.Secret.Key) != canary {
		t.Error("the conversion does not give the secret away")
	}
}

// TestCanariesCoverEverySecret: withCanaries has a canary for every secret, so that the tests
// of masks find it, and every key that is named like a secret has a type that masks.
func TestCanariesCoverEverySecret(t *testing.T) {
	var visit func(at string, v reflect.Value)
	visit = func(at string, v reflect.Value) {
		switch v.Kind() { //nolint:exhaustive // what a configuration is made of
		case reflect.Struct:
			for i := range v.NumField() {
				if name := v.Type().Field(i).Tag.Get("mapstructure"); name != "" {
					visit(at+"."+name, v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				visit(at, v.Index(i))
			}
		case reflect.String:
			_, secret := v.Interface().(config.Secret)
			_, dsn := v.Interface().(config.DSN)
			if (secret || dsn) && !strings.Contains(v.String(), canary) {
				t.Errorf("%s has no canary", at)
			}
			public := strings.HasSuffix(at, ".site_key")
			if regexp.MustCompile(`(secret|password|[._]key|dsn)$`).MatchString(at) && !secret && !dsn && !public {
				t.Errorf("%s is a %s", at, v.Type())
			}
		}
	}
	visit("", reflect.ValueOf(withCanaries(t)).Elem())
}

// TestOperatorKeysAreHashed: a configuration keeps no operator's key in clear.
func TestOperatorKeysAreHashed(t *testing.T) {
	plain := strings.Repeat(canary, 4)
	for name, given := range map[string]string{
		"clear": plain, "hashed": "sha256:" + hashOf(plain), "hashed, capitals": "sha256:" + strings.ToUpper(hashOf(plain)),
	} {
		t.Run(name, func(t *testing.T) {
			for source, cfg := range map[string]*config.Config{
				"file":        mustLoad(t, "admin: {keys: [{name: a, key: '"+given+"'}]}\n"),
				"environment": mustLoad(t, "", `MENSHEN_ADMIN_KEYS=[{"name":"a","key":"`+given+`"}]`),
			} {
				if kept := string(cfg.Admin.Keys[0].Key); kept != "sha256:"+hashOf(plain) {
					t.Errorf("%s: %q is kept", source, kept)
				}
				if cfg.Admin.Keys[0].Hash() != sha256.Sum256([]byte(plain)) {
					t.Errorf("%s: another hash", source)
				}
				if shown := cfg.Masked(); strings.Contains(shown, hashOf(plain)) {
					t.Errorf("%s: Masked shows the hash", source)
				}
			}
		})
	}
}

func TestMaskedDSN(t *testing.T) {
	for dsn, want := range map[config.DSN]string{
		"":                           "",
		"data/menshen.db":            "data/menshen.db",
		"/menshen.db":                "/menshen.db",
		"file:x.db?_pragma=a(1)":     "file:x.db?_pragma=a(1)",
		"u@tcp(h:1)/d":               "u@tcp(h:1)/d",
		"u:p@tcp(h:1)/d?timeout=1s":  "u:***@tcp(h:1)/d?timeout=1s",
		"u:p@/:s@unix(/run/x.sock)/": "u:***@unix(/run/x.sock)/",
		"mysql://u:p@h/d":            "***",
		"u:p@tcp(h/d":                "***",
		"u:p":                        "***",
	} {
		if got := fmt.Sprint(dsn); got != want {
			t.Errorf("%q shows as %q, want %q", string(dsn), got, want)
		}
	}
}

func TestMaskedIsAConfiguration(t *testing.T) {
	const given = `
code: {ttl: 90s, test_numbers: [{mobile: "13800138000", code: "246813", until: 2030-01-31T08:00:00+08:00}]}
token: {audience: ["true", "8080", "a: b"], refresh_ttl: 1h30m}
server: {cors_origins: ["https://a.example"]}
`
	cfg := mustLoad(t, given)
	shown := cfg.Masked()
	for _, line := range []string{"  ttl: 1m30s\n", "  refresh_ttl: 1h30m\n", "  access_ttl: 15m\n", "until: 2030-01-31T08:00:00+08:00\n"} {
		if !strings.Contains(shown, line) {
			t.Errorf("Masked lacks %q:\n%s", line, shown)
		}
	}
	if strings.Contains(shown, "13800138000") || strings.Contains(shown, "246813") {
		t.Errorf("Masked shows a test number:\n%s", shown)
	}
	again := mustLoad(t, strings.NewReplacer("mobile: '***'", "mobile: 13800138000", "code: '***'", "code: 246813").Replace(shown))
	if again.Masked() != shown || len(again.Token.Audience) != 3 {
		t.Errorf("Masked is read back as\n%s\nwant\n%s", again.Masked(), shown)
	}
}

func TestSecretKeysAsBytes(t *testing.T) {
	none := mustLoad(t, "").Secret
	if none.Current() != nil || len(none.Retired()) != 0 {
		t.Errorf("no keys become %d and %d bytes", len(none.Current()), len(none.Retired()))
	}
	keys := mustLoad(t, "", "MENSHEN_SECRET_KEY="+key(1, 32), "MENSHEN_SECRET_PREVIOUS="+key(2, 32)+","+key(3, 32)).Secret
	if got := keys.Current(); len(got) != 32 || got[0] != 1 {
		t.Errorf("secret.key becomes %d bytes", len(got))
	}
	if got := keys.Retired(); len(got) != 2 || len(got[1]) != 32 || got[0][0] != 2 || got[1][0] != 3 {
		t.Errorf("secret.previous becomes %d keys", len(got))
	}
}
