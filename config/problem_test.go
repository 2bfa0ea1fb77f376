package config_test

import (
	"strings"
	"testing"
	"time"

	"menshen/config"
)

// refused is a configuration that must be refused for exactly the named keys.
type refused struct {
	name    string
	file    string
	environ []string
	keys    []string
}

func (b refused) run(t *testing.T) {
	t.Helper()
	cfg, warnings, err := load(t, b.file, b.environ...)
	if cfg != nil {
		t.Fatalf("Load returns a configuration and %v", err)
	}
	list := problems(t, err)
	var keys []string
	for _, p := range list {
		keys = append(keys, p.Key)
		if !strings.HasPrefix(p.Error(), p.Key+": ") || p.Text == "" || strings.Contains(p.Error(), "\n") {
			t.Errorf("problem %q, want one line that begins with its key", p.Error())
		}
		if !strings.Contains(err.Error(), p.Error()) {
			t.Errorf("%q is not in the error's text", p.Error())
		}
	}
	if strings.Join(keys, " ") != strings.Join(b.keys, " ") {
		t.Errorf("problems name %q, want %q:\n%v", keys, b.keys, err)
	}
	if shown := err.Error() + strings.Join(warnings, ""); strings.Contains(shown, canary) {
		t.Errorf("a value is shown: %s", shown)
	}
}

func file(name, text string, keys ...string) refused {
	return refused{name: name, file: text, keys: keys}
}

func env(name, entry string, keys ...string) refused {
	return refused{name: name, environ: []string{entry}, keys: keys}
}

func prod(name, entry string, keys ...string) refused {
	return refused{name: "production: " + name, environ: production(entry), keys: keys}
}

// testNumber is the variable of a test number with this code and end.
func testNumber(code string, until time.Time) string {
	return `MENSHEN_CODE_TEST_NUMBERS=[{"mobile":"13800138000","code":"` + code + `","until":"` + until.Format(time.RFC3339) + `"}]`
}

var shapes = []refused{
	file("unknown section", "servers: {addr: ':1'}", "servers"),
	file("unknown key", "code: {lenght: 6}", "code.lenght"),
	file("unknown nested key", "sms: {webhook: {uri: x}}", "sms.webhook.uri"),
	file("unknown member", "companies: [{type: 0, nmae: x}]", "companies[0].nmae"),
	file("flat key, which viper takes", "code.length: 8", "code.length"),
	file("capitals, which viper takes", "Code: {length: 8}", "Code"),
	file("secret as a key", "secret: {key "+strings.Repeat(canary, 4)+"}", "secret.?"),
	file("list as a key", "secret: {[a, "+canary+"]: b}", "secret.?"),
	file("key given twice", "code: {length: 6, length: 7}", "code.length"),
	file("section given twice", "code: {length: 6}\ncode: {ttl: 1m}", "code"),
	file("member given twice", "companies: [{type: 0, type: 1}]", "companies[0].type"),
	file("merge key", "code: {<<: {length: 6}}", "code.<<"),
	file("scalar for a section", "secret: "+canary, "secret"),
	file("list for a section", "code: [1]", "code"),
	file("section for a scalar", "secret: {key: {x: "+canary+"}}", "secret.key"),
	file("scalar for a list", "sms: {regions: CN}", "sms.regions"),
	file("scalar for objects", "companies: "+canary, "companies"),
	file("scalar for an object", "companies: [{type: 1}, "+canary+", {type: 0}]", "companies[1]"),
	file("list in a list", "token: {audience: [[a]]}", "token.audience[0]"),
	file("word for a number", "code: {length: "+canary+"}", "code.length"),
	file("fraction for a number", "code: {length: 6.5}", "code.length"),
	file("whole fraction for a number", "code: {length: 6.0}", "code.length"),
	file("quoted number", "code: {length: '6'}", "code.length"),
	file("octal number", "code: {max_attempts: 010}", "code.max_attempts"),
	file("hexadecimal number", "code: {length: 0x6}", "code.length"),
	file("number with underscores", "code: {daily_budget: 10_000}", "code.daily_budget"),
	file("null for a number", "code: {length: }", "code.length"),
	file("number over int64", "code: {daily_budget: 99999999999999999999}", "code.daily_budget"),
	file("type over int32", "companies: [{type: 2147483648}]", "companies[0].type"),
	file("string for a bool", "server: {docs: 'true'}", "server.docs"),
	file("yes for a bool", "server: {docs: yes}", "server.docs"),
	file("number for a bool", "server: {always_200: 1}", "server.always_200"),
	file("number for a string", "token: {issuer: 5}", "token.issuer"),
	file("bool for a string", "companies: [{type: 0, name: true}]", "companies[0].name"),
	file("number for a secret", "secret: {key: 123456}", "secret.key"),
	file("binary for a string", "token: {issuer: !!binary aGk=}", "token.issuer"),
	file("own tag", "secret: {key: !vault "+canary+"}", "secret.key"),
	file("value of another tag", "code: {length: !!int "+canary+"}", "code.length"),
	file("line break in a string", "token: {issuer: \"a\\nb\"}", "token.issuer"),
	file("block for a secret", "secret:\n  key: |\n    "+canary+"\n", "secret.key"),
	file("duration without a unit", "code: {ttl: 30}", "code.ttl"),
	file("quoted duration without a unit", "code: {ttl: '30'}", "code.ttl"),
	file("duration of an unknown unit", "code: {ttl: 30x}", "code.ttl"),
	file("duration in days", "token: {refresh_ttl: 30d}", "token.refresh_ttl"),
	file("fraction for a duration", "code: {ttl: 1.5}", "code.ttl"),
	file("duration that overflows", "token: {access_ttl: 10000000000s}", "token.access_ttl"),
	file("product's duration without a unit", "products: [{type: 0, group: a, access_ttl: 60}]", "products[0].access_ttl"),
	env("variable: word for a number", "MENSHEN_CODE_LENGTH="+canary, "code.length"),
	env("variable: nothing for a number", "MENSHEN_CODE_LENGTH=", "code.length"),
	env("variable: space around a number", "MENSHEN_CODE_LENGTH= 6", "code.length"),
	env("variable: fraction", "MENSHEN_LIMITS_LOGIN=1.0", "limits.login"),
	env("variable: overflow", "MENSHEN_LIMITS_LOGIN=99999999999999999999", "limits.login"),
	env("variable: word for a bool", "MENSHEN_SERVER_DOCS=yes", "server.docs"),
	env("variable: duration without a unit", "MENSHEN_TOKEN_ACCESS_TTL=900", "token.access_ttl"),
	env("variable: bytes that are no text", "MENSHEN_TOKEN_ISSUER=\xff"+canary, "token.issuer"),
	env("variable: malformed JSON", `MENSHEN_CLIENTS=[{"id":"a","secret":"`+canary, "clients"),
	env("variable: JSON with bad nesting", `MENSHEN_CLIENTS=[{"id":["`+canary+`"}]`, "clients"),
	env("variable: null for companies", "MENSHEN_COMPANIES=null", "companies"),
	env("variable: item that is no text", "MENSHEN_TOKEN_AUDIENCE=a,"+canary+"\x01", "token.audience[1]"),
	env("variable: words for objects", "MENSHEN_COMPANIES="+canary, "companies"),
	env("variable: more than one JSON value", "MENSHEN_COMPANIES=[{\"type\":0}] []", "companies"),
	env("variable: object for a list", `MENSHEN_COMPANIES={"type":0}`, "companies"),
	env("variable: unknown member", `MENSHEN_COMPANIES=[{"type":0,"Name":"x"}]`, "companies[0].Name"),
	env("variable: member given twice", `MENSHEN_COMPANIES=[{"type":0,"type":1}]`, "companies[0].type"),
	env("variable: string for a number", `MENSHEN_COMPANIES=[{"type":"`+canary+`"}]`, "companies[0].type"),
	env("variable: number for a string", `MENSHEN_COMPANIES=[{"type":0,"name":1}]`, "companies[0].name"),
	env("variable: fraction for a number", `MENSHEN_COMPANIES=[{"type":1e0}]`, "companies[0].type"),
	env("_FILE that is missing", "MENSHEN_SECRET_KEY_FILE=/none/"+canary, "secret.key"),
	env("_FILE of no name", "MENSHEN_SECRET_KEY_FILE=", "secret.key"),
	env("_FILE that is a directory", "MENSHEN_CLIENTS_FILE=/", "clients"),
}

var ranges = []refused{
	file("connections of an address", "server: {max_conns_per_ip: -1}", "server.max_conns_per_ip"),
	file("env", "env: prod", "env"),
	file("data_dir", "data_dir: ''", "data_dir"),
	file("addr without a port", "server: {addr: localhost}", "server.addr"),
	file("addr of a port alone", "server: {addr: '8080'}", "server.addr"),
	file("port too high", "server: {addr: ':65536'}", "server.addr"),
	file("port by name", "server: {admin_addr: '127.0.0.1:http'}", "server.admin_addr"),
	file("one address for both", "server: {addr: ':80', admin_addr: '127.0.0.1:80'}", "server.admin_addr"),
	file("proxy by name", "server: {trusted_proxies: [10.0.0.1, proxy.local]}", "server.trusted_proxies[1]"),
	file("proxy of a wrong mask", "server: {trusted_proxies: [10.0.0.0/33]}", "server.trusted_proxies[0]"),
	file("proxy of more than IPv4 in IPv6", "server: {trusted_proxies: ['::ffff:10.0.0.0/95']}", "server.trusted_proxies[0]"),
	file("proxy with a zone", "server: {trusted_proxies: ['fe80::1%eth0']}", "server.trusted_proxies[0]"),
	file("any origin", "server: {cors_origins: ['*']}", "server.cors_origins[0]"),
	file("origin by pattern", "server: {cors_origins: ['https://*.example.com']}", "server.cors_origins[0]"),
	file("origin with a path", "server: {cors_origins: ['https://a.example/']}", "server.cors_origins[0]"),
	file("origin without a scheme", "server: {cors_origins: [a.example]}", "server.cors_origins[0]"),
	file("origin in capitals", "server: {cors_origins: ['https://A.example']}", "server.cors_origins[0]"),
	file("origin with the default port", "server: {cors_origins: ['https://a.example:443']}", "server.cors_origins[0]"),
	file("origin with a user", "server: {cors_origins: ['https://u@a.example']}", "server.cors_origins[0]"),
	file("origin null", "server: {cors_origins: ['null']}", "server.cors_origins[0]"),
	env("empty item", "MENSHEN_SERVER_CORS_ORIGINS=https://a.example,", "server.cors_origins[1]"),
	file("connections closed too soon", "server: {idle_timeout: 4999ms}", "server.idle_timeout"),
	file("connections kept too long", "server: {idle_timeout: 3600001ms}", "server.idle_timeout"),
	file("connections closed at once", "server: {idle_timeout: 0s}", "server.idle_timeout"),
	file("idle_timeout without a unit", "server: {idle_timeout: 75}", "server.idle_timeout"),
	file("locale", "server: {locale: zh}", "server.locale"),
	file("driver", "database: {driver: postgres}", "database.driver"),
	file("mysql without dsn", "database: {driver: mysql}", "database.dsn"),
	file("mysql with an URL", "database: {driver: mysql, dsn: 'mysql://u:"+canary+"@h/d'}", "database.dsn"),
	file("mysql with a wrong parameter", "database: {driver: mysql, dsn: 'u:"+canary+"@tcp(h)/d?parseTime="+canary+"'}", "database.dsn"),
	file("mysql without a database", "database: {driver: mysql, dsn: 'u:"+canary+"@tcp(h)/'}", "database.dsn"),
	file("mysql's dsn with sqlite", "database: {dsn: 'u:"+canary+"@tcp(h)/d'}", "database.dsn"),
	file("too few connections", "database: {max_conns: 3}", "database.max_conns"),
	file("too many connections", "database: {max_conns: 1001}", "database.max_conns"),
	file("provider", "sms: {provider: pigeon}", "sms.provider"),
	file("region in small letters", "sms: {regions: [CN, hk]}", "sms.regions[1]"),
	file("region of no country", "sms: {regions: [CN, XX]}", "sms.regions[1]"),
	file("region of the world", "sms: {regions: [CN, '001']}", "sms.regions[1]"),
	file("no regions", "sms: {regions: []}", "sms.regions"),
	file("default region", "sms: {default_region: china}", "sms.default_region"),
	file("default region that is not accepted", "sms: {default_region: HK}", "sms.default_region"),
	file("webhook without anything", "sms: {provider: webhook}", "sms.webhook.url", "sms.webhook.secret"),
	file("webhook by file", "sms: {webhook: {url: 'file:///x'}}", "sms.webhook.url"),
	file("webhook that is relative", "sms: {webhook: {url: /send}}", "sms.webhook.url"),
	file("webhook with a password", "sms: {webhook: {url: 'https://u:"+canary+"@h/'}}", "sms.webhook.url"),
	file("webhook secret without its prefix", "sms: {webhook: {secret: "+canary+"}}", "sms.webhook.secret"),
	file("webhook secret that is not base64", "sms: {webhook: {secret: whsec_"+canary+"-}}", "sms.webhook.secret"),
	file("webhook secret too short", "sms: {webhook: {secret: whsec_"+key(1, 15)+"}}", "sms.webhook.secret"),
	file("webhook secret too long", "sms: {webhook: {secret: whsec_"+key(1, 65)+"}}", "sms.webhook.secret"),
	file("code too short", "code: {length: 4}", "code.length"),
	file("code too long", "code: {length: 11}", "code.length"),
	file("code for ever", "code: {ttl: 10m1s}", "code.ttl"),
	file("code for no time", "code: {ttl: 0s}", "code.ttl"),
	file("code for less than a second", "code: {ttl: 999ms}", "code.ttl"),
	file("no attempts", "code: {max_attempts: 0}", "code.max_attempts"),
	file("negative cooldown", "code: {cooldown: -1s}", "code.cooldown"),
	file("negative limit", "code: {per_ip_day: -1}", "code.per_ip_day"),
	file("guard's action", "guard: {action: "+canary+"}", "guard.action"),
	file("guard's window as short as a code's life", "guard: {window: 5m}", "guard.window"),
	file("guard's window beyond a code's retention", "guard: {window: 24h1s}", "guard.window"),
	file("guard that judges by nothing", "guard: {least: 0}", "guard.least"),
	file("guard that judges by more than it reads", "guard: {least: 2001}", "guard.least"),
	file("burst that is no more than usual", "guard: {burst: 1}", "guard.burst"),
	file("burst of more than a thousand times", "guard: {burst: 1001}", "guard.burst"),
	file("more than all redeemed", "guard: {percent: 101}", "guard.percent"),
	file("negative request limit", "limits: {other: -1}", "limits.other"),
	file("short retention of sessions", "retention: {sessions: 23h59m}", "retention.sessions"),
	file("short retention of events", "retention: {events: 0s}", "retention.events"),
	file("short retention of messages", "retention: {messages: 23h}", "retention.messages"),
	file("conversion's window longer than codes last", "sms: {conversion: {window: 1h1s}}", "sms.conversion.window"),
	file("conversion's window of nothing", "sms: {conversion: {window: 999ms}}", "sms.conversion.window"),
	file("margin of nothing", "sms: {conversion: {margin: 0}}", "sms.conversion.margin"),
	file("margin beyond all", "sms: {conversion: {margin: 101}}", "sms.conversion.margin"),
	file("conversion that judges by nothing", "sms: {conversion: {least: 0}}", "sms.conversion.least"),
	file("price of an unknown provider", "sms: {prices: [{provider: x, region: CN, segment: 1}]}", "sms.prices[0].provider"),
	file("price of an unknown region", "sms: {prices: [{provider: aliyun, region: cn, segment: 1}]}", "sms.prices[0].region"),
	file("negative price", "sms: {prices: [{provider: aliyun, region: CN, segment: -1}]}", "sms.prices[0].segment"),
	file("price of no segment", "sms: {prices: [{provider: aliyun, region: CN}]}", "sms.prices[0].segment"),
	file("receipts from elsewhere", "sms: {aliyun: {receipts: poll}, tencent: {receipts: ''}}", "sms.aliyun.receipts", "sms.tencent.receipts"),
	file("receipts without an account", "sms: {aliyun: {receipts: pull}, tencent: {report_redeemed: true}}",
		"sms.aliyun.access_key_id", "sms.aliyun.access_key_secret", "sms.tencent.secret_id", "sms.tencent.secret_key", "sms.tencent.app_id"),
	file("short receipt token", "sms: {aliyun: {receipt_token: "+strings.Repeat("a1", 15)+"b}}", "sms.aliyun.receipt_token[0]"),
	file("receipt token that is no part of a path", "sms: {tencent: {receipt_token: ["+strings.Repeat("a/", 16)+"]}}", "sms.tencent.receipt_token[0]"),
	file("three receipt tokens", "sms: {aliyun: {receipt_token: ["+strings.Repeat(strings.Repeat("a1", 16)+", ", 2)+strings.Repeat("a1", 16)+"]}}", "sms.aliyun.receipt_token"),
	file("Twilio's receipts without their address", "sms: {twilio: {receipt_token: "+strings.Repeat("a1", 16)+"}}", "sms.twilio.receipt_url"),
	file("Twilio's address without a token", "sms: {twilio: {receipt_url: 'https://a.example/x'}}", "sms.twilio.receipt_url"),
	file("Twilio's address with another token", "sms: {twilio: {receipt_token: "+strings.Repeat("a1", 16)+", receipt_url: 'https://a.example/"+strings.Repeat("a1", 15)+"'}}", "sms.twilio.receipt_url"),
	file("Twilio's address in clear", "sms: {twilio: {receipt_token: "+strings.Repeat("a1", 16)+", receipt_url: 'http://a.example/"+strings.Repeat("a1", 16)+"'}}", "sms.twilio.receipt_url"),
	file("endless retention", "retention: {events: 87601h}", "retention.events"),
	file("admin host with a port", "server: {admin_hosts: [a.example, 'b.example:8081']}", "server.admin_hosts[1]"),
	file("admin host in capitals", "server: {admin_hosts: [A.example]}", "server.admin_hosts[0]"),
	file("admin host with a pattern", "server: {admin_hosts: ['*.example']}", "server.admin_hosts[0]"),
	file("issuer", "token: {issuer: ''}", "token.issuer"),
	file("no audience", "token: {audience: []}", "token.audience"),
	file("empty audience", "token: {audience: [a, '']}", "token.audience[1]"),
	file("algorithm", "token: {algorithm: HS256}", "token.algorithm"),
	file("access_ttl", "token: {access_ttl: 0s}", "token.access_ttl"),
	file("refresh_ttl", "token: {refresh_ttl: 87601h}", "token.refresh_ttl"),
	file("idle_ttl", "token: {idle_ttl: -1h}", "token.idle_ttl"),
	file("reuse_grace", "token: {reuse_grace: 25h}", "token.reuse_grace"),
	file("key_activation", "token: {key_activation: -1ns}", "token.key_activation"),
	file("level", "log: {level: "+canary+"}", "log.level"),
	file("format", "log: {format: text}", "log.format"),
	file("collector without a scheme", "tracing: {endpoint: 'localhost:4318'}", "tracing.endpoint"),
	file("collector by another scheme", "tracing: {endpoint: 'grpc://localhost:4317'}", "tracing.endpoint"),
	file("collector with a password", "tracing: {endpoint: 'http://u:"+canary+"@localhost:4318'}", "tracing.endpoint"),
	file("collector's query", "tracing: {endpoint: 'http://localhost:4318/?key="+canary+"'}", "tracing.endpoint"),
	file("collector's port", "tracing: {endpoint: 'http://localhost:70000'}", "tracing.endpoint"),
	file("more than all", "tracing: {ratio: 1.01}", "tracing.ratio"),
	file("less than none", "tracing: {ratio: -0.1}", "tracing.ratio"),
	file("ratio that is no number", "tracing: {ratio: .nan}", "tracing.ratio"),
	file("ratio with an exponent", "tracing: {ratio: 1e-1}", "tracing.ratio"),
	file("ratio in words", "tracing: {ratio: half}", "tracing.ratio"),
	env("empty ratio", "MENSHEN_TRACING_RATIO=", "tracing.ratio"),
}

var objects = []refused{
	file("key that is not base64", "secret: {key: '"+canary+"!'}", "secret.key"),
	file("key in URL's base64", "secret: {key: '"+strings.Repeat("-_", 21)+"8='}", "secret.key"),
	file("key of 31 bytes", "secret: {key: "+key(1, 31)+"}", "secret.key"),
	file("key of 33 bytes", "secret: {key: "+key(1, 33)+"}", "secret.key"),
	env("empty older key", "MENSHEN_SECRET_PREVIOUS="+key(1, 32)+",", "secret.previous[1]"),
	file("older key", "secret: {previous: ["+canary+"]}", "secret.previous[0]"),
	file("no companies", "companies: []", "companies"),
	env("no companies by variable", "MENSHEN_COMPANIES=", "companies"),
	file("company without a type", "companies: [{type: 0}, {name: x}]", "companies[1].type"),
	file("companies of one type", "companies: [{type: 3}, {type: 0}, {type: 3}]", "companies[2].type"),
	file("registration", "companies: [{type: 0, registration: maybe}]", "companies[0].registration"),
	file("no products", "products: []", "products"),
	file("product without a type", "products: [{group: a}]", "products[0].type"),
	file("product without a group", "products: [{type: 0}]", "products[0].group"),
	file("products of one type", "products: [{type: 0, group: a}, {type: 0, group: b}]", "products[1].type"),
	file("group in capitals", "products: [{type: 0, group: App}]", "products[0].group"),
	file("group too long", "products: [{type: 0, group: "+strings.Repeat("a", 33)+"}]", "products[0].group"),
	file("no sessions", "products: [{type: 0, group: a, max_sessions: 0}]", "products[0].max_sessions"),
	file("too many sessions", "products: [{type: 0, group: a, max_sessions: 101}]", "products[0].max_sessions"),
	file("on_conflict", "products: [{type: 0, group: a, on_conflict: fight}]", "products[0].on_conflict"),
	file("group that does not agree", "products: [{type: 0, group: a}, {type: 1, group: b, max_sessions: 2}, {type: 2, group: a, max_sessions: 2, on_conflict: reject}]",
		"products[2].max_sessions", "products[2].on_conflict"),
	file("product's access_ttl of zero", "products: [{type: 0, group: a, access_ttl: 0s}]", "products[0].access_ttl"),
	file("product's refresh_ttl", "products: [{type: 0, group: a, refresh_ttl: 87601h}]", "products[0].refresh_ttl"),
	file("client without anything", "clients: [{}]", "clients[0].id", "clients[0].secret"),
	file("client with a colon", "clients: [{id: 'a:b', secret: "+strings.Repeat("ab", 16)+"}]", "clients[0].id"),
	file("client's short secret", "clients: [{id: a, secret: "+canary+"}]", "clients[0].secret"),
	file("clients of one id", "clients: [{id: a, secret: "+strings.Repeat("ab", 16)+"}, {id: a, secret: "+strings.Repeat("cd", 16)+"}]", "clients[1].id"),
	file("admin without a name", "admin: {keys: [{name: '', key: "+strings.Repeat("ab", 16)+"}]}", "admin.keys[0].name"),
	file("admin's short key", "admin: {keys: [{name: a, key: "+canary+"}]}", "admin.keys[0].key"),
	file("admin's key with a space", "admin: {keys: [{name: a, key: '"+strings.Repeat(canary, 4)+" x'}]}", "admin.keys[0].key"),
	file("admin with a long name", "admin: {keys: [{name: "+strings.Repeat("n", 65)+", key: "+strings.Repeat("ab", 16)+"}]}", "admin.keys[0].name"),
	file("admin called user", "admin: {keys: [{name: user, key: "+strings.Repeat("ab", 16)+"}]}", "admin.keys[0].name"),
	file("admin called system", "admin: {keys: [{name: system, key: "+strings.Repeat("ab", 16)+"}]}", "admin.keys[0].name"),
	file("admin called as a shell's user", "admin: {keys: [{name: 'cli:root', key: "+strings.Repeat("ab", 16)+"}]}", "admin.keys[0].name"),
	file("admin's short hash", "admin: {keys: [{name: a, key: 'sha256:"+strings.Repeat("ab", 31)+"'}]}", "admin.keys[0].key"),
	file("admin's hash of no digits", "admin: {keys: [{name: a, key: 'sha256:"+strings.Repeat(canary, 6)+"wxyz'}]}", "admin.keys[0].key"),
	file("admins of one key, hashed", "admin: {keys: [{name: a, key: "+strings.Repeat("ab", 16)+"}, {name: b, key: 'sha256:"+hashOf(strings.Repeat("ab", 16))+"'}]}", "admin.keys[1].key"),
	file("admins of one hash", "admin: {keys: [{name: a, key: 'sha256:"+strings.Repeat("AB", 32)+"'}, {name: b, key: 'sha256:"+strings.Repeat("ab", 32)+"'}]}", "admin.keys[1].key"),
	file("admins of one name", "admin: {keys: [{name: a, key: "+strings.Repeat("ab", 16)+"}, {name: a, key: "+strings.Repeat("cd", 16)+"}]}", "admin.keys[1].name"),
	file("admins of one key", "admin: {keys: [{name: a, key: "+strings.Repeat("ab", 16)+"}, {name: b, key: "+strings.Repeat("ab", 16)+"}]}", "admin.keys[1].key"),
	file("test number without an end", "code: {test_numbers: [{mobile: '13800138000', code: '123456'}]}", "code.test_numbers[0].until"),
	file("test number until a day", "code: {test_numbers: [{mobile: '13800138000', code: '123456', until: 2030-01-31}]}", "code.test_numbers[0].until"),
	file("test number's code", "code: {length: 7, test_numbers: [{mobile: '13800138000', code: '123456', until: 2030-01-31T00:00:00Z}]}", "code.test_numbers[0].code"),
	file("test number's letters", "code: {test_numbers: [{mobile: "+canary+", code: abcdef, until: 2030-01-31T00:00:00Z}]}", "code.test_numbers[0].mobile", "code.test_numbers[0].code"),
	file("a bad item is no first of two", "companies: [{type: x}, {type: 0}]", "companies[0].type"),
	file("a bad group is no group", "products: [{type: 0, group: App}, {type: 1, group: App, max_sessions: 2}]", "products[0].group", "products[1].group"),
	file("a product with a problem leads no group", "products: [{type: 0, group: a, max_sessions: x}, {type: 1, group: a, max_sessions: 2}]", "products[0].max_sessions"),
	file("all at once", "env: x\nfoo: 1\ncode: {length: x, ttl: 30, max_attempts: 0}\nlog: {level: loud}\n",
		"foo", "code.length", "code.ttl", "env", "code.max_attempts", "log.level"),
	{name: "over all layers", file: "code: {length: x}", keys: []string{"code.length", "server.docs", "limits.login"},
		environ: []string{"MENSHEN_CODE_LENGTH=7", "MENSHEN_SERVER_DOCS=x", "MENSHEN_LIMITS_LOGIN_FILE=/none"}},
}

var inProduction = []refused{
	{name: "nothing given", environ: []string{"MENSHEN_ENV=production"}, keys: []string{"sms.provider", "secret.key"}},
	prod("log provider", "MENSHEN_SMS_PROVIDER=log", "sms.provider"),
	prod("generated secret", "MENSHEN_SECRET_KEY=", "secret.key"),
	prod("zero secret", "MENSHEN_SECRET_KEY="+strings.Repeat("A", 43)+"=", "secret.key"),
	prod("word for a secret", "MENSHEN_SECRET_PREVIOUS=c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=", "secret.previous[0]"),
	prod("client's sample", `MENSHEN_CLIENTS=[{"id":"a","secret":"`+strings.Repeat("x", 32)+`"}]`, "clients[0].secret"),
	prod("admin's sample", `MENSHEN_ADMIN_KEYS=[{"name":"a","key":"`+strings.Repeat("changeme", 4)+`"}]`, "admin.keys[0].key"),
	prod("webhook's sample", "MENSHEN_SMS_WEBHOOK_SECRET=whsec_"+strings.Repeat("A", 32), "sms.webhook.secret"),
	prod("webhook's lenient secret", "MENSHEN_SMS_WEBHOOK_SECRET=whsec_"+key(1, 23), "sms.webhook.secret"),
	prod("webhook in clear", "MENSHEN_SMS_WEBHOOK_URL=http://sms.example.com/", "sms.webhook.url"),
	prod("webhook on localhost", "MENSHEN_SMS_WEBHOOK_URL=https://LOCALHOST./", "sms.webhook.url"),
	prod("webhook on loopback", "MENSHEN_SMS_WEBHOOK_URL=https://[::ffff:127.0.0.1]:8443/", "sms.webhook.url"),
	prod("short code", "MENSHEN_CODE_TTL=59s", "code.ttl"),
	prod("cooldown off", "MENSHEN_CODE_COOLDOWN=0s", "code.cooldown"),
	prod("short cooldown", "MENSHEN_CODE_COOLDOWN=9s", "code.cooldown"),
	prod("per_mobile_hour off", "MENSHEN_CODE_PER_MOBILE_HOUR=0", "code.per_mobile_hour"),
	prod("per_mobile_day off", "MENSHEN_CODE_PER_MOBILE_DAY=0", "code.per_mobile_day"),
	prod("per_ip_hour off", "MENSHEN_CODE_PER_IP_HOUR=0", "code.per_ip_hour"),
	prod("per_ip_day off", "MENSHEN_CODE_PER_IP_DAY=0", "code.per_ip_day"),
	prod("daily_budget off", "MENSHEN_CODE_DAILY_BUDGET=0", "code.daily_budget"),
	prod("fails_per_mobile_day off", "MENSHEN_CODE_FAILS_PER_MOBILE_DAY=0", "code.fails_per_mobile_day"),
	prod("guard's short window", "MENSHEN_GUARD_WINDOW=14m59s", "guard.window"),
	prod("guard that judges by few", "MENSHEN_GUARD_LEAST=9", "guard.least"),
	prod("short access token", "MENSHEN_TOKEN_ACCESS_TTL=59s", "token.access_ttl"),
	prod("short session", "MENSHEN_TOKEN_REFRESH_TTL=59m", "token.refresh_ttl"),
	prod("short idle time", "MENSHEN_TOKEN_IDLE_TTL=1s", "token.idle_ttl"),
	prod("no grace", "MENSHEN_TOKEN_REUSE_GRACE=0s", "token.reuse_grace"),
	prod("no activation", "MENSHEN_TOKEN_KEY_ACTIVATION=0s", "token.key_activation"),
	prod("all peers", "MENSHEN_SERVER_TRUSTED_PROXIES=10.0.0.0/8,0.0.0.0/0", "server.trusted_proxies"),
	prod("test number's repeated digit", testNumber("000000", today), "code.test_numbers[0].code"),
	prod("test number's rising digits", testNumber("123456", today), "code.test_numbers[0].code"),
	prod("test number's rising digits over 0", testNumber("789012", today), "code.test_numbers[0].code"),
	prod("test number's falling digits", testNumber("654321", today), "code.test_numbers[0].code"),
	prod("test number's falling digits over 0", testNumber("321098", today), "code.test_numbers[0].code"),
	prod("test number for more than a year", testNumber("246813", today.Add(366*24*time.Hour+time.Second)), "code.test_numbers[0].until"),
	prod("product's short token", `MENSHEN_PRODUCTS=[{"type":0,"group":"a","access_ttl":"1s"}]`, "products[0].access_ttl"),
}

func TestBadConfigurationsAreRefused(t *testing.T) {
	for title, table := range map[string][]refused{
		"shapes": shapes, "ranges": ranges, "objects": objects, "production": inProduction, "challenge": challenges,
	} {
		t.Run(title, func(t *testing.T) {
			for _, tt := range table {
				t.Run(tt.name, tt.run)
			}
		})
	}
}

func TestProblemsSayWhatAndWhere(t *testing.T) {
	path := write(t, "menshen.yaml", "code:\n  length: 4\n  ttl: 20m\ncompanies:\n  - type: 0\n  - name: x\n  - type: 0\n")
	_, _, err := config.Load(config.Options{
		Defaults: shipped(t), File: path,
		Environ: []string{"MENSHEN_CODE_COOLDOWN=48h", "MENSHEN_LIMITS_LOGIN=x"},
	})
	want := []string{
		"companies[1].type: is missing (" + path + ":6)",
		"limits.login: must be a whole number in decimal digits (MENSHEN_LIMITS_LOGIN)",
		"code.length: 4 is out of range 6…10 (" + path + ":2)",
		"code.ttl: 20m is out of range 1s…10m (" + path + ":3)",
		"code.cooldown: 48h is out of range 0s…24h (MENSHEN_CODE_COOLDOWN)",
		"companies[2].type: is the same as companies[0].type (" + path + ":7)",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("Load answers:\n%v\nwant:\n%s", err, strings.Join(want, "\n"))
	}
}

func TestMalformedFilesAreOneProblem(t *testing.T) {
	for name, tt := range map[string]struct{ text, line string }{
		"indentation":    {"code:\n  length: 6\n ttl: 5m\n", "near line 2"},
		"open bracket":   {"env: dev\nsms:\n  regions: [CN\n", "near line 2: did not find expected ',' or ']'"},
		"open quote":     {"env: dev\nsecret:\n  key: \"" + canary + "\n", "line 3"},
		"two colons":     {"env: dev\nsecret:\n  key: a: " + canary + "\n", "line 3"},
		"tab":            {"code:\n\tlength: 6\n", "line 2"},
		"unknown anchor": {"env: dev\nsecret:\n  key: *" + canary + "\n", "line 3"},
		"not text":       {"env: dev\ndata_dir: \xff" + canary + "\n", "line 2"},
		"NUL":            {"env: dev\n\n\x00" + canary + "\n", "line 3"},
		"UTF-16":         {"\xfe\xff\x00e\x00n\x00v", "line 1"},
		"two documents":  {"env: dev\n---\nenv: " + canary + "\n", "line 2"},
		"a word":         {canary, ""},
		"a list":         {"- " + canary, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "config.yaml", tt.text)
			_, _, err := config.Load(config.Options{Defaults: shipped(t), File: path, Environ: []string{"MENSHEN_CODE_LENGTH=1"}})
			list := problems(t, err)
			if len(list) != 1 || list[0].Key != path || !strings.Contains(list[0].Text, tt.line) {
				t.Errorf("%v, want one problem of the file and %q", err, tt.line)
			}
			if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q tells what stood in the file, or is not one line", err)
			}
		})
	}
}

// TestProblemsRepeatNothing: no problem repeats a text that stands in the place of a
// value.
func TestProblemsRepeatNothing(t *testing.T) {
	var tried []refused
	for key := range keysOf(t, shipped(t)) {
		line, closing := strings.ReplaceAll(key, ".", ": {"), strings.Repeat("}", strings.Count(key, "."))
		for _, value := range []string{
			canary, "[" + canary + "]", "{" + canary + ": " + canary + "}", "[{" + canary + ": " + canary + "}]",
			"!" + canary + " x", "!!int " + canary, "*" + canary, "'" + canary + "\x01'", "\"" + canary + "\\n\"",
		} {
			tried = append(tried, refused{file: line + ": " + value + closing})
		}
		tried = append(tried,
			refused{environ: []string{variable(key) + "=" + canary}},
			refused{environ: []string{variable(key) + `=[{"` + canary + `":"` + canary + `"}]`}},
			refused{environ: []string{variable(key) + "_FILE=" + canary}})
	}
	for _, b := range tried {
		_, warnings, err := load(t, b.file, b.environ...)
		if err == nil {
			continue
		}
		// The names of an unknown key and of a claim may be repeated.
		shown := strings.NewReplacer(canary+": is an unknown key", "", "token.claims."+canary+": ", "").Replace(err.Error())
		if strings.Contains(shown+strings.Join(warnings, ""), canary) {
			t.Errorf("%s %q: %v", b.file, b.environ, err)
		}
	}
}
