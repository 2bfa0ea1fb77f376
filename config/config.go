// Package config reads, checks and watches the configuration of menshen.
//
// config.yaml at the root of the module holds every key with its default and
// its explanation. The program embeds that file, so the manual and the defaults
// are one text: there is no second table of defaults in Go.
//
// [Load] puts four layers over each other, the later one wins:
//
//	embedded config.yaml ← file ← MENSHEN_<SECTION>_<KEY> ← MENSHEN_<SECTION>_<KEY>_FILE
//
// Viper resolves the precedence. It never sees text: its weak typing takes
// "ttl: 30" for 30 ns and "30x" for nothing, drops a section that meets a scalar
// and ignores a misspelt key, all without a word. So every layer is first read
// strictly against the types of [Config], and viper is handed typed values only.
//
// A configuration is right as a whole or refused as a whole: Load answers all
// [Problems] at once, each by its dotted key and none with a secret's value. No
// text that was given is repeated in a problem, since a secret may stand in the
// wrong place; numbers and durations are.
//
// A Config is not changed after Load and may be read from any goroutine. A
// reload is a new Load, a look at [ColdChanges] and a swap of a pointer.
package config

import (
	"path/filepath"
	"time"
)

// Values of env, the kind of deployment. Everything but production is lenient:
// secrets may be generated and limits may be switched off.
const (
	EnvDev        = "dev"
	EnvTest       = "test"
	EnvProduction = "production"
)

// Values of database.driver.
const (
	DriverSQLite = "sqlite"
	DriverMySQL  = "mysql"
)

// Values of guard.action.
const (
	GuardRecord    = "record"
	GuardDeny      = "deny"
	GuardChallenge = "challenge"
)

// ChallengeTurnstile is the value of challenge.provider for Cloudflare Turnstile.
const ChallengeTurnstile = "turnstile"

// Values of companies[].registration.
const (
	RegistrationOpen   = "open"
	RegistrationClosed = "closed"
)

// Values of products[].on_conflict.
const (
	OnConflictReplace = "replace"
	OnConflictReject  = "reject"
)

// Config is the whole configuration, valid once [Load] has answered it.
type Config struct {
	Env       string     `mapstructure:"env"`      // kind of deployment: dev, test or production
	DataDir   string     `mapstructure:"data_dir"` // directory of the database file and the key files
	Server    Server     `mapstructure:"server"`
	Database  Database   `mapstructure:"database"`
	SMS       SMS        `mapstructure:"sms"`
	Code      Code       `mapstructure:"code"`
	Guard     Guard      `mapstructure:"guard"`
	Challenge Challenge  `mapstructure:"challenge"`
	Limits    Limits     `mapstructure:"limits"`
	Token     Token      `mapstructure:"token"`
	Secret    SecretKeys `mapstructure:"secret"`
	Companies []Company  `mapstructure:"companies"` // never empty, types unique
	Products  []Product  `mapstructure:"products"`  // never empty, types unique
	Clients   []Client   `mapstructure:"clients"`
	Admin     Admin      `mapstructure:"admin"`
	Log       Log        `mapstructure:"log"`
	Tracing   Tracing    `mapstructure:"tracing"`
}

// Server is the HTTP side: the two listeners and what concerns every answer.
type Server struct {
	Addr           string   `mapstructure:"addr"`            // public listener, host:port
	AdminAddr      string   `mapstructure:"admin_addr"`      // admin listener, host:port
	TrustedProxies []string `mapstructure:"trusted_proxies"` // IPs or CIDRs whose X-Forwarded-For counts
	CORSOrigins    []string `mapstructure:"cors_origins"`    // exact origins; CORS is off when empty
	Docs           bool     `mapstructure:"docs"`            // serve /swagger on the public listener
	Always200      bool     `mapstructure:"always_200"`      // send every enveloped answer with status 200
	Locale         string   `mapstructure:"locale"`          // language of msg without Accept-Language: zh-CN or en
}

// Database says where the truth is kept.
type Database struct {
	Driver string `mapstructure:"driver"` // sqlite or mysql
	DSN    DSN    `mapstructure:"dsn"`    // mysql: go-sql-driver's form; sqlite: a file, empty for <data_dir>/menshen.db
}

// Code holds the verification codes' form and the limits that guard them. The
// limits count per number over all companies, over rolling windows; 0 switches
// one off, outside production only.
type Code struct {
	Length            int           `mapstructure:"length"`               // digits
	TTL               time.Duration `mapstructure:"ttl"`                  // life of a code
	MaxAttempts       int           `mapstructure:"max_attempts"`         // comparisons after which a code is dead
	Cooldown          time.Duration `mapstructure:"cooldown"`             // between two codes for one number
	PerMobileHour     int           `mapstructure:"per_mobile_hour"`      // codes for one number
	PerMobileDay      int           `mapstructure:"per_mobile_day"`       // codes for one number
	PerIPHour         int           `mapstructure:"per_ip_hour"`          // codes asked for by one address (IPv6: /64)
	PerIPDay          int           `mapstructure:"per_ip_day"`           // codes asked for by one address (IPv6: /64)
	DailyBudget       int           `mapstructure:"daily_budget"`         // messages of the whole deployment in a day
	FailsPerMobileDay int           `mapstructure:"fails_per_mobile_day"` // wrong comparisons for one number in a day
	TestNumbers       []TestNumber  `mapstructure:"test_numbers"`         // numbers with a fixed code, for store reviewers
}

// TestNumber is a number to which nothing is sent and whose code is fixed until
// a given time. Number and code print masked; string(x) gives them away.
type TestNumber struct {
	Mobile Secret    `mapstructure:"mobile" member:"required,digits"` // as the end user would type it
	Code   Secret    `mapstructure:"code" member:"required,digits"`   // code.length digits
	Until  time.Time `mapstructure:"until" member:"required"`         // the code is refused from then on
}

// Guard says when the codes for numbers that begin alike, or asked for from
// neighbouring addresses, look like SMS pumping, and what follows.
type Guard struct {
	Action  string        `mapstructure:"action"`  // record, deny or challenge
	Window  time.Duration `mapstructure:"window"`  // rolling; longer than code.ttl
	Least   int           `mapstructure:"least"`   // ended codes of a group before it is judged
	Percent int           `mapstructure:"percent"` // redeemed of sent below which there is an alarm; 0 is off
}

// Challenge is the CAPTCHA that must be passed before a code is sent, when the
// guard or a limit that is near demands it.
type Challenge struct {
	Provider string        `mapstructure:"provider"`  // empty for none, or turnstile
	Secret   Secret        `mapstructure:"secret"`    // the widget's secret key
	URL      string        `mapstructure:"url"`       // where answers are verified; https in production
	Timeout  time.Duration `mapstructure:"timeout"`   // for the provider's answer
	FailOpen bool          `mapstructure:"fail_open"` // send when the provider cannot tell
}

// Limits are the cheap request limits kept in the process, in requests per
// minute; 0 switches one off.
type Limits struct {
	Enabled bool `mapstructure:"enabled"` // false switches all of them off
	Login   int  `mapstructure:"login"`   // logins per address
	Refresh int  `mapstructure:"refresh"` // refreshes per session
	Check   int  `mapstructure:"check"`   // login-status checks per session
	Other   int  `mapstructure:"other"`   // everything else per address
}

// Token holds what is minted, by which keys, and for how long it lives.
type Token struct {
	Issuer        string        `mapstructure:"issuer"`         // claim iss
	Audience      []string      `mapstructure:"audience"`       // claim aud, never empty
	Algorithm     string        `mapstructure:"algorithm"`      // ES256, EdDSA or RS256
	KeyDir        string        `mapstructure:"key_dir"`        // directory of signing keys; see [Config.KeyDir]
	KeyActivation time.Duration `mapstructure:"key_activation"` // from a key's appearance until it signs
	AccessTTL     time.Duration `mapstructure:"access_ttl"`     // life of an access token
	RefreshTTL    time.Duration `mapstructure:"refresh_ttl"`    // absolute life of a session
	IdleTTL       time.Duration `mapstructure:"idle_ttl"`       // life of a session without a refresh
	ReuseGrace    time.Duration `mapstructure:"reuse_grace"`    // how long an older pair is forgiven
}

// SecretKeys are the master secrets from which the keys for numbers, codes and
// sealing are derived: base64 of 32 bytes each. See [SecretKeys.Current] and
// [SecretKeys.Retired] for the bytes.
type SecretKeys struct {
	Key      Secret   `mapstructure:"key"`      // empty: made once into [Config.SecretKeyFile], never in production
	Previous []Secret `mapstructure:"previous"` // older ones that still verify and unseal
}

// Company is a tenant. Zero is a legal type.
type Company struct {
	Type         int32  `mapstructure:"type" member:"required"`
	Name         string `mapstructure:"name"`                        // for people only
	Registration string `mapstructure:"registration" default:"open"` // open or closed: whether new numbers may register
}

// Product is an application whose devices exclude each other within a group.
// Zero is a legal type. Products of one group agree on MaxSessions and
// OnConflict.
type Product struct {
	Type        int32         `mapstructure:"type" member:"required"`
	Name        string        `mapstructure:"name"`                          // for people only
	Group       string        `mapstructure:"group" member:"required"`       // 1–32 of a–z 0–9 _ -
	MaxSessions int           `mapstructure:"max_sessions" default:"1"`      // sessions of one user in the group
	OnConflict  string        `mapstructure:"on_conflict" default:"replace"` // replace or reject
	AccessTTL   time.Duration `mapstructure:"access_ttl" member:"nonzero"`   // Load fills in token.access_ttl
	RefreshTTL  time.Duration `mapstructure:"refresh_ttl" member:"nonzero"`  // Load fills in token.refresh_ttl
}

// Client is a back end that may introspect tokens and read the revocation feed,
// by HTTP Basic.
type Client struct {
	ID     string `mapstructure:"id" member:"required"`
	Secret Secret `mapstructure:"secret" member:"required"` // at least 32 characters
}

// Admin holds who may use the admin API.
type Admin struct {
	// Keys may be empty: in dev one is then made into [Config.AdminKeyFile], in
	// production the admin API is closed.
	Keys []AdminKey `mapstructure:"keys"`
}

// AdminKey is one operator's bearer key; the name is the actor in the audit trail.
type AdminKey struct {
	Name string `mapstructure:"name" member:"required"`
	Key  Secret `mapstructure:"key" member:"required"` // sha256:<64 hexadecimal digits> once Load has answered; see [AdminKey.Hash]
}

// Log is the process's own log.
type Log struct {
	Level  string `mapstructure:"level"`  // debug, info, warn or error
	Format string `mapstructure:"format"` // console or json
}

// Tracing says where spans go.
type Tracing struct {
	Endpoint string  `mapstructure:"endpoint"` // URL that takes OTLP/HTTP; empty: no traces
	Ratio    float64 `mapstructure:"ratio"`    // of requests that are traced, 0 to 1
}

// Production tells whether nothing may be generated, faked or switched off.
func (c *Config) Production() bool { return c.Env == EnvProduction }

// DatabasePath is what to open: database.dsn in clear when it is given, else
// <data_dir>/menshen.db. It is not for printing.
func (c *Config) DatabasePath() string {
	if c.Database.DSN != "" {
		return string(c.Database.DSN)
	}
	return filepath.Join(c.DataDir, "menshen.db")
}

// KeyDir is the directory of the signing keys: token.key_dir, else <data_dir>/keys.
func (c *Config) KeyDir() string {
	if c.Token.KeyDir != "" {
		return c.Token.KeyDir
	}
	return filepath.Join(c.DataDir, "keys")
}

// SecretKeyFile is where a generated secret.key is kept outside production.
func (c *Config) SecretKeyFile() string { return filepath.Join(c.DataDir, "secret.key") }

// AdminKeyFile is where a generated admin key is kept outside production.
func (c *Config) AdminKeyFile() string { return filepath.Join(c.DataDir, "admin.key") }
