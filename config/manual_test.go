package config_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// TestManualHoldsEveryKeyAndNoOther: the masked output is made from the types, so it
// holds every key of Config.
func TestManualHoldsEveryKeyAndNoOther(t *testing.T) {
	manual := slices.Sorted(maps.Keys(keysOf(t, shipped(t))))
	types := slices.Sorted(maps.Keys(keysOf(t, []byte(mustLoad(t, "").Masked()))))
	if diff := cmp.Diff(types, manual); diff != "" {
		t.Errorf("keys of Config (-) and of config.yaml (+):\n%s", diff)
	}
}

func TestManualExplainsEveryKey(t *testing.T) {
	lines := strings.Split(string(shipped(t)), "\n")
	for key, node := range keysOf(t, shipped(t)) {
		line := node.Line - 1
		// Keys of one kind may share a comment; the items of a list stand below its key.
		for line > 0 && strings.TrimSpace(lines[line]) != "" && !strings.Contains(lines[line], "#") {
			line--
		}
		if !strings.Contains(lines[line], "#") {
			t.Errorf("%s has no comment above it", key)
		}
	}
}

func TestVariablesAreUnambiguous(t *testing.T) {
	names := map[string]string{}
	for key := range keysOf(t, shipped(t)) {
		for _, name := range []string{variable(key), variable(key) + "_FILE"} {
			if other, taken := names[name]; taken {
				t.Errorf("%s means %s and %s", name, other, key)
			}
			names[name] = key
		}
	}
}

// others holds a valid value other than the default for each key for which otherValue
// cannot make one.
var others = map[string]string{
	"env":                    "test",
	"data_dir":               "elsewhere",
	"server.addr":            ":9090",
	"server.admin_addr":      "127.0.0.1:9091",
	"server.admin_hosts":     "menshen.example.com",
	"server.trusted_proxies": "10.0.0.0/8,192.168.1.1",
	"server.cors_origins":    "https://a.example,https://b.example",
	"server.locale":          "en",
	"code.ticket":            "required",
	"database.driver":        "mysql",
	"database.dsn":           "u:p@tcp(h:3306)/d",
	"sms.provider":           "webhook",
	"sms.default_region":     "HK",
	"sms.regions":            "CN,HK",
	"sms.webhook.url":        "https://sms.example.com",
	"sms.webhook.secret":     "whsec_" + key(5, 32),
	"sms.fallback":           "webhook",
	"sms.routes":             `[{"regions":["*"],"providers":["log"]}]`,
	"sms.templates":          `[{"provider":"twilio","languages":["en"],"text":"{code}"}]`,

	"sms.aliyun.endpoint":          "https://dysmsapi.ap-southeast-1.aliyuncs.com",
	"sms.aliyun.access_key_id":     "LTAI",
	"sms.aliyun.access_key_secret": "hush",
	"sms.tencent.endpoint":         "https://sms.ap-guangzhou.tencentcloudapi.com",
	"sms.tencent.region":           "ap-singapore",
	"sms.tencent.secret_id":        "AKID",
	"sms.tencent.secret_key":       "hush",
	"sms.tencent.app_id":           "1400006666",
	"sms.twilio.endpoint":          "https://api.dublin.ie1.twilio.com",
	"sms.twilio.account_sid":       "AC" + strings.Repeat("0a", 16),
	"sms.twilio.auth_token":        "hush",
	"sms.twilio.from":              "+14155550123",
	"sms.aliyun.receipt_token":     strings.Repeat("a1", 16) + "," + strings.Repeat("b2", 16),
	"sms.tencent.receipt_token":    strings.Repeat("c3", 16),
	"sms.aliyun.receipts":          "pull",
	"sms.tencent.receipts":         "pull",
	"sms.twilio.receipt_token":     "01234567890123456789012345678901",
	"sms.twilio.receipt_url":       "https://a.example/hooks/sms/twilio/01234567890123456789012345678901",
	"sms.prices":                   `[{"provider":"aliyun","region":"CN","segment":0.045}]`,
	"sms.sns.endpoint":             "https://sns-fips.us-east-1.amazonaws.com",
	"sms.sns.region":               "ap-southeast-1",
	"sms.sns.access_key_id":        "AKIA",
	"sms.sns.secret_access_key":    "hush",
	"sms.sns.sender_id":            "menshen",

	"code.test_numbers":  `[{"mobile":"13800138000","code":"123456","until":"2030-01-31T00:00:00Z"}]`,
	"guard.action":       "deny",
	"challenge.provider": "turnstile",
	"challenge.secret":   key(9, 26),
	"challenge.url":      "https://captcha.example.com",

	"challenge.providers":           "turnstile",
	"challenge.turnstile.site_key":  "0x4AAAAAAA",
	"challenge.turnstile.secret":    key(9, 26),
	"challenge.turnstile.url":       "https://captcha.example.com",
	"challenge.turnstile.hostnames": "app.example.com,localhost",
	"challenge.turnstile.action":    "send-code",

	"challenge.hcaptcha.site_key":        "10000000-ffff-ffff-ffff-000000000001",
	"challenge.hcaptcha.secret":          "ES_" + key(9, 20),
	"challenge.hcaptcha.url":             "https://captcha.example.com",
	"challenge.hcaptcha.hostnames":       "app.example.com",
	"challenge.recaptcha.site_key":       "6LAAAAAA",
	"challenge.recaptcha.secret":         key(9, 26),
	"challenge.recaptcha.url":            "https://www.recaptcha.net/recaptcha/api/siteverify",
	"challenge.recaptcha.hostnames":      "app.example.com",
	"challenge.recaptcha.action":         "send",
	"challenge.geetest.site_key":         "54088bb07d2df3c46b79f80300b0abbe",
	"challenge.geetest.captcha_key":      key(9, 24),
	"challenge.geetest.url":              "https://captcha.example.com/validate",
	"challenge.aliyun.site_key":          "1e1ltj",
	"challenge.aliyun.scene_id":          "c9h3****",
	"challenge.aliyun.access_key_id":     "LTAI5tAAAA",
	"challenge.aliyun.access_key_secret": key(9, 24),
	"challenge.aliyun.url":               "https://captcha.ap-southeast-1.aliyuncs.com",
	"challenge.tencent.site_key":         "199999164",
	"challenge.tencent.app_secret_key":   key(9, 20),
	"challenge.tencent.secret_id":        "AKIDAAAA",
	"challenge.tencent.secret_key":       key(9, 24),
	"challenge.tencent.url":              "https://captcha.example.com",

	"token.issuer":     "other",
	"token.audience":   "a,b",
	"token.algorithm":  "EdDSA",
	"token.key_dir":    "keys",
	"token.claims":     `{"ext":"externalId"}`,
	"secret.key":       key(6, 32),
	"secret.previous":  key(7, 32) + "," + key(8, 32),
	"companies":        `[{"type":9}]`,
	"products":         `[{"type":9,"group":"g"}]`,
	"clients":          `[{"id":"c","secret":"0123456789abcdef0123456789abcdef"}]`,
	"admin.keys":       `[{"name":"n","key":"0123456789abcdef0123456789abcdef"}]`,
	"log.level":        "debug",
	"log.format":       "json",
	"tracing.endpoint": "http://localhost:4318",
	"tracing.ratio":    "0.25",
}

// companions are the variables that a key's other value requires.
var companions = map[string][]string{
	"database.driver":    {"database.dsn"},
	"database.dsn":       {"database.driver"},
	"sms.provider":       {"sms.webhook.url", "sms.webhook.secret"},
	"sms.fallback":       {"sms.webhook.url", "sms.webhook.secret"},
	"sms.default_region": {"sms.regions"},
	"challenge.provider": {"challenge.secret"},

	"sms.aliyun.receipts":         {"sms.aliyun.access_key_id", "sms.aliyun.access_key_secret"},
	"sms.aliyun.report_redeemed":  {"sms.aliyun.access_key_id", "sms.aliyun.access_key_secret"},
	"sms.tencent.receipts":        {"sms.tencent.secret_id", "sms.tencent.secret_key", "sms.tencent.app_id"},
	"sms.tencent.report_redeemed": {"sms.tencent.secret_id", "sms.tencent.secret_key", "sms.tencent.app_id"},

	"sms.twilio.receipt_token": {"sms.twilio.receipt_url"},
	"sms.twilio.receipt_url":   {"sms.twilio.receipt_token"},

	"challenge.providers": {"challenge.turnstile.secret"},
}

func otherValue(t *testing.T, key string, node *yaml.Node) string {
	t.Helper()
	if value, known := others[key]; known {
		return value
	}
	switch node.ShortTag() {
	case "!!bool":
		return strconv.FormatBool(node.Value != "true")
	case "!!int":
		n, err := strconv.Atoi(node.Value)
		if err != nil {
			t.Fatal(err)
		}
		return strconv.Itoa(n + 1)
	}
	d, err := time.ParseDuration(node.Value)
	if err != nil {
		t.Fatalf("others has no value for the key %s", key)
	}
	return (d + time.Second).String()
}

func TestEveryKeyIsReachableByEnvironmentAlone(t *testing.T) {
	manual := keysOf(t, shipped(t))
	before := keysOf(t, []byte(mustLoad(t, "").Masked()))
	for key, node := range manual {
		t.Run(key, func(t *testing.T) {
			value := otherValue(t, key, node)
			var companion []string
			for _, k := range companions[key] {
				companion = append(companion, variable(k)+"="+otherValue(t, k, manual[k]))
			}
			for _, entry := range []string{
				variable(key) + "=" + value,
				variable(key) + "_FILE=" + write(t, "value", value+"\n"),
			} {
				cfg := mustLoad(t, "", append(companion, entry)...)
				after := keysOf(t, []byte(cfg.Masked()))[key]
				if text(t, after) == text(t, before[key]) {
					t.Errorf("%s changes nothing: %s", entry, text(t, after))
				}
			}
		})
	}
}

func text(t *testing.T, node *yaml.Node) string {
	t.Helper()
	out, err := yaml.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
