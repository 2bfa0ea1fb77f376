// Package config reads, checks and watches the configuration of menshen.
//
// config.yaml at the root of the module holds every key with its default and its
// explanation, and is embedded. [Load] merges four layers. A later layer wins:
//
//	embedded config.yaml ← file ← MENSHEN_<SECTION>_<KEY> ← MENSHEN_<SECTION>_<KEY>_FILE
//
// Each layer is first read strictly against the types of [Config]; viper only merges.
// It gets no text, because its weak typing fails silently: it reads "ttl: 30" as 30 ns,
// drops a section that meets a scalar and ignores a misspelt key. A new key needs a
// field and rules, never a new feature of the reader.
//
// A configuration is valid or refused as a whole. A problem repeats numbers and
// durations but no text of the configuration, since a secret may stand in the wrong
// place.
//
// A Config does not change after Load and is safe for concurrent use.
package config

import (
	"cmp"
	"net/url"
	"path/filepath"
	"time"
)

// Values of env. Outside production secrets may be generated and limits switched off.
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

// Values of companies[].registration.
const (
	RegistrationOpen   = "open"
	RegistrationClosed = "closed"

	TicketOptional = "optional"
	TicketRequired = "required"
)

// Values of admin.keys[].role.
const (
	RoleRead    = "read"
	RoleSupport = "support"
	RoleAdmin   = "admin"
)

// Values of products[].on_conflict.
const (
	OnConflictReplace = "replace"
	OnConflictReject  = "reject"
)

// Config is the whole configuration. One that [Load] returns is valid.
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
	Retention Retention  `mapstructure:"retention"`
	Token     Token      `mapstructure:"token"`
	Secret    SecretKeys `mapstructure:"secret"`
	Companies []Company  `mapstructure:"companies"` // never empty, types unique
	Products  []Product  `mapstructure:"products"`  // never empty, types unique
	Clients   []Client   `mapstructure:"clients"`
	Admin     Admin      `mapstructure:"admin"`
	Log       Log        `mapstructure:"log"`
	Console   Console    `mapstructure:"console"`
	Dev       Dev        `mapstructure:"dev"`
	Tracing   Tracing    `mapstructure:"tracing"`

	// FromFile reports whether the file sets at least one key. It is no key itself.
	FromFile bool `mapstructure:"from_file" member:"derived"`

	// Lax lists the keys whose values production would refuse, and those by which something
	// is generated or served that is not in production. It is empty in production, and no key
	// itself.
	Lax []string `mapstructure:"lax" member:"derived"`
}

// Server configures the two listeners and what all responses have in common.
type Server struct {
	Addr           string        `mapstructure:"addr"`             // public listener, host:port
	AdminAddr      string        `mapstructure:"admin_addr"`       // admin listener, host:port
	AdminHosts     []string      `mapstructure:"admin_hosts"`      // domain names of the admin listener
	IdleTimeout    time.Duration `mapstructure:"idle_timeout"`     // how long an idle connection is kept, on both listeners
	MaxConnsPerIP  int           `mapstructure:"max_conns_per_ip"` // connections of one address to the public listener; 0: any number
	TrustedProxies []string      `mapstructure:"trusted_proxies"`  // IPs or CIDRs whose X-Forwarded-For counts
	CORSOrigins    []string      `mapstructure:"cors_origins"`     // exact origins; CORS is off when empty
	Docs           bool          `mapstructure:"docs"`             // serve /swagger on the public listener
	Always200      bool          `mapstructure:"always_200"`       // send every response in the envelope with status 200
	Locale         string        `mapstructure:"locale"`           // language of msg without Accept-Language: zh-CN or en
}

// Database configures the storage.
type Database struct {
	Driver string `mapstructure:"driver"` // sqlite or mysql
	DSN    DSN    `mapstructure:"dsn"`    // mysql: go-sql-driver's form; sqlite: a file, empty for <data_dir>/menshen.db
	// MaxConns bounds the connections of the process to MySQL. It means nothing to sqlite.
	MaxConns int `mapstructure:"max_conns"`
}

// Code configures verification codes and their limits. A limit per number counts the
// codes of all companies. All limits have rolling windows. 0 switches a limit off,
// outside production only.
type Code struct {
	Length            int           `mapstructure:"length"`               // digits
	TTL               time.Duration `mapstructure:"ttl"`                  // life of a code
	MaxAttempts       int           `mapstructure:"max_attempts"`         // comparisons of a code, with its ticket and without it apart
	Cooldown          time.Duration `mapstructure:"cooldown"`             // between two codes for one number
	PerMobileHour     int           `mapstructure:"per_mobile_hour"`      // codes for one number, in each pool
	PerMobileDay      int           `mapstructure:"per_mobile_day"`       // codes for one number, in each pool
	PerIPHour         int           `mapstructure:"per_ip_hour"`          // codes asked for by one address (IPv6: /64)
	PerIPDay          int           `mapstructure:"per_ip_day"`           // codes asked for by one address (IPv6: /64)
	PerBlockHour      int           `mapstructure:"per_block_hour"`       // codes asked for by neighbouring addresses (IPv4: /24, IPv6: /48)
	PerBlockDay       int           `mapstructure:"per_block_day"`        // codes asked for by neighbouring addresses (IPv4: /24, IPv6: /48)
	DailyBudget       int           `mapstructure:"daily_budget"`         // messages of the whole deployment in a day
	HourlyShare       int           `mapstructure:"hourly_share"`         // percentage of the budget that one hour may use
	Reserve           int           `mapstructure:"reserve"`              // percentage of both for devices that have logged in before
	FailsPerMobileDay int           `mapstructure:"fails_per_mobile_day"` // wrong comparisons for one number in a day without a ticket
	Ticket            string        `mapstructure:"ticket"`               // TicketOptional or TicketRequired
	TestNumbers       []TestNumber  `mapstructure:"test_numbers"`         // numbers with a fixed code, for store reviewers
}

// TestNumber is a number with a fixed code, to which nothing is sent. Both print
// masked; string(x) returns them.
type TestNumber struct {
	Mobile Secret    `mapstructure:"mobile" member:"required,digits"` // as the end user would type it
	Code   Secret    `mapstructure:"code" member:"required,digits"`   // code.length digits
	Until  time.Time `mapstructure:"until" member:"required"`         // the code is refused from then on
}

// Guard configures the detection of SMS pumping, and the action it takes.
type Guard struct {
	Action  string        `mapstructure:"action"`  // record, deny or challenge
	Window  time.Duration `mapstructure:"window"`  // rolling; longer than code.ttl
	Least   int           `mapstructure:"least"`   // codes of a group before it is judged
	Percent int           `mapstructure:"percent"` // redeemed of sent below which there is an alarm; 0 is off
	Burst   int           `mapstructure:"burst"`   // multiple of a group's usual rate that is a burst; 0 is off
}

// Limits are requests per minute, counted by each process. 0 switches one off.
type Limits struct {
	Enabled bool `mapstructure:"enabled"` // false switches all of them off
	Login   int  `mapstructure:"login"`   // logins per address
	Refresh int  `mapstructure:"refresh"` // refreshes per session
	Check   int  `mapstructure:"check"`   // login-status checks per session
	Other   int  `mapstructure:"other"`   // everything else per address
	Guess   int  `mapstructure:"guess"`   // refused codes per address and number in 10 minutes
}

// Console configures the console on the admin listener.
type Console struct {
	Enabled bool `mapstructure:"enabled"`
}

// Dev configures the pages of development, which env dev alone has.
type Dev struct {
	Open bool `mapstructure:"open"` // serve them to every address and name, not to this machine alone
}

// Retention is how long rows are kept that only operators and reports need.
type Retention struct {
	Sessions time.Duration `mapstructure:"sessions"` // after a session's end
	Events   time.Duration `mapstructure:"events"`   // of the audit log
	Messages time.Duration `mapstructure:"messages"` // and what became of them
}

// Token configures tokens, their signing keys and lifetimes.
type Token struct {
	Issuer        string        `mapstructure:"issuer"`         // claim iss
	Audience      []string      `mapstructure:"audience"`       // claim aud, never empty
	Algorithm     string        `mapstructure:"algorithm"`      // ES256, EdDSA or RS256
	KeyDir        string        `mapstructure:"key_dir"`        // directory of signing keys; see [Config.KeyDir]
	KeyActivation time.Duration `mapstructure:"key_activation"` // from the publication of a key until it signs
	AccessTTL     time.Duration `mapstructure:"access_ttl"`     // life of an access token
	RefreshTTL    time.Duration `mapstructure:"refresh_ttl"`    // absolute life of a session
	IdleTTL       time.Duration `mapstructure:"idle_ttl"`       // life of a session without a refresh
	ReuseGrace    time.Duration `mapstructure:"reuse_grace"`    // how long an older pair is not a replay
	Claims        Claims        `mapstructure:"claims"`         // added to access tokens
}

// SecretKeys are the master secrets, base64 of 32 bytes each. [SecretKeys.Current] and
// [SecretKeys.Retired] return the bytes.
type SecretKeys struct {
	Key      Secret   `mapstructure:"key"`      // empty: generated once into [Config.SecretKeyFile]; required in production
	Previous []Secret `mapstructure:"previous"` // older ones, with which old data is still read
}

// Company is a tenant. Zero is a legal type.
type Company struct {
	Type         int32  `mapstructure:"type" member:"required"`
	Name         string `mapstructure:"name"`                        // for people only
	Registration string `mapstructure:"registration" default:"open"` // open or closed: whether new numbers may register
}

// Product is an application. Zero is a legal type. Products of one group share
// MaxSessions, which must be the same in all of them, as must OnConflict.
type Product struct {
	Type        int32         `mapstructure:"type" member:"required"`
	Name        string        `mapstructure:"name"`                          // for people only
	Group       string        `mapstructure:"group" member:"required"`       // 1–32 of a–z 0–9 _ -
	MaxSessions int           `mapstructure:"max_sessions" default:"1"`      // sessions of one user in the group
	OnConflict  string        `mapstructure:"on_conflict" default:"replace"` // replace or reject
	AccessTTL   time.Duration `mapstructure:"access_ttl" member:"nonzero"`   // Load fills in token.access_ttl
	RefreshTTL  time.Duration `mapstructure:"refresh_ttl" member:"nonzero"`  // Load fills in token.refresh_ttl
	Domain      string        `mapstructure:"domain"`                        // host to which texts bind a code; empty: none
	AppHash     string        `mapstructure:"app_hash"`                      // of the Android app, for SMS Retriever; empty: none
}

// Client is a back end. It authenticates by HTTP Basic.
type Client struct {
	ID     string `mapstructure:"id" member:"required"`
	Secret Secret `mapstructure:"secret" member:"required"` // at least 32 characters
}

// Admin configures who may use the admin API.
type Admin struct {
	// Keys may be empty. Then one is generated into [Config.AdminKeyFile], or, in
	// production, the admin API is closed.
	Keys []AdminKey `mapstructure:"keys"`
}

// AdminKey is one operator's bearer key; the name is the actor in the audit trail.
type AdminKey struct {
	Name      string  `mapstructure:"name" member:"required"`
	Key       Secret  `mapstructure:"key" member:"required"` // sha256:<64 hexadecimal digits> after Load; see [AdminKey.Hash]
	Role      string  `mapstructure:"role" default:"admin"`  // RoleRead, RoleSupport or RoleAdmin
	Companies []int32 `mapstructure:"companies"`             // types; empty: all
}

// Log configures the log of the process.
type Log struct {
	Level  string `mapstructure:"level"`  // debug, info, warn or error
	Format string `mapstructure:"format"` // console or json
}

// Tracing configures the export of spans.
type Tracing struct {
	Endpoint string  `mapstructure:"endpoint"` // URL that takes OTLP/HTTP; empty: no traces
	Ratio    float64 `mapstructure:"ratio"`    // share of requests that are traced, 0 to 1
}

// Production reports whether the deployment is in production, where nothing is
// generated, faked or switched off.
func (c *Config) Production() bool { return c.Env == EnvProduction }

// DatabaseDSN is the database to open, with its password. Do not print it. The file in
// data_dir is a file: URI, because a question mark in a path would begin the pragmas.
func (c *Config) DatabaseDSN() string {
	file := url.URL{Path: filepath.Join(c.DataDir, "menshen.db")}
	return cmp.Or(string(c.Database.DSN), "file:"+file.EscapedPath())
}

// KeyDir is the directory of the signing keys: token.key_dir, else <data_dir>/keys.
func (c *Config) KeyDir() string {
	return cmp.Or(c.Token.KeyDir, filepath.Join(c.DataDir, "keys"))
}

// SecretKeyFile is where a generated secret.key is kept outside production.
func (c *Config) SecretKeyFile() string { return filepath.Join(c.DataDir, "secret.key") }

// AdminKeyFile is where a generated admin key is kept outside production.
func (c *Config) AdminKeyFile() string { return filepath.Join(c.DataDir, "admin.key") }
