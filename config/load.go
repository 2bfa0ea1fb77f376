package config

import (
	"cmp"
	"errors"
	"io/fs"
	"reflect"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// embeddedName names the embedded file in problems.
const embeddedName = "embedded config.yaml"

// Options are the layers of a configuration.
type Options struct {
	Defaults     []byte    // the embedded config.yaml, which holds every key
	File         string    // path of the file; empty for none
	FileText     []byte    // content of File if it has been read already; nil: read it
	FileRequired bool      // whether a missing file is a problem: its name was given
	Environ      []string  // "NAME=value" as os.Environ returns it; of two equal names the last counts
	Now          time.Time // by which the ends of test numbers are judged
}

// Load reads, merges and checks a configuration. The warnings are sentences for the
// log and hold no values; they may be returned together with an error. The error is
// of type [Problems], and cfg is nil then.
func Load(o Options) (cfg *Config, warnings []string, err error) {
	if o.File != "" && o.FileText == nil {
		o.FileText, err = readFile(o.File)
		if err != nil && (o.FileRequired || !errors.Is(err, fs.ErrNotExist)) {
			return nil, nil, Problems{{Key: o.File, Text: "cannot read the configuration file: " + err.Error()}}
		}
	}
	return o.load(readFile)
}

// load is Load with the content of the file. open reads the files that _FILE variables
// name.
func (o Options) load(open func(name string) ([]byte, error)) (*Config, []string, error) {
	r := newReport()
	defaults, err := r.layer(embeddedName, o.Defaults)
	if err != nil {
		return nil, nil, err
	}
	// An operator cannot mend the embedded file: problems must not point there.
	clear(r.origin)
	file, err := r.layer(o.File, o.FileText)
	if err != nil {
		return nil, nil, err
	}
	fromFile := len(r.origin) > 0
	environ := environment{report: r, open: open}
	values, warnings := environ.values(o.Environ)
	values["from_file"], values["lax"] = fromFile, []string{}
	cfg, err := merge(defaults, file, values)
	if err != nil {
		r.refuse(embeddedName, "", "%s", err)
		return nil, warnings, r.problems
	}
	(&rules{Config: cfg, report: r, now: o.Now}).check()
	if len(r.problems) > 0 {
		return nil, warnings, r.problems
	}
	cfg.Lax = cfg.laxKeys(o.Now)
	cfg.inherit()
	cfg.hashKeys()
	return cfg, append(warnings, cfg.warnings(o.Now)...), nil
}

// layer reads a YAML file. If it is malformed, nothing else can be checked.
func (r *report) layer(name string, text []byte) (map[string]any, error) {
	root, err := documentYAML(text)
	if err != nil {
		return nil, Problems{{Key: name, Text: err.Error()}}
	}
	if root == nil || null(root) {
		return nil, nil
	}
	if target(root).Kind != yaml.MappingNode {
		return nil, Problems{{Key: name, Text: "must hold sections and keys, as the shipped config.yaml does"}}
	}
	source := &reader{report: r, source: name, lines: true}
	return source.section(root, reflect.TypeFor[Config](), ""), nil
}

// merge merges the layers. The embedded file must hold every key.
func merge(defaults, file, environ map[string]any) (*Config, error) {
	v := viper.New()
	for key, value := range defaults {
		v.SetDefault(key, value)
	}
	if err := v.MergeConfigMap(file); err != nil {
		return nil, err
	}
	for key, value := range environ {
		v.Set(key, value)
	}
	cfg := new(Config)
	return cfg, v.UnmarshalExact(cfg, func(d *mapstructure.DecoderConfig) {
		d.WeaklyTypedInput = false
		d.DecodeHook = nil
		d.ErrorUnset = true
	})
}

// inherit sets the lifetimes that products leave to the token section.
func (c *Config) inherit() {
	for i := range c.Products {
		p := &c.Products[i]
		p.AccessTTL = cmp.Or(p.AccessTTL, c.Token.AccessTTL)
		p.RefreshTTL = cmp.Or(p.RefreshTTL, c.Token.RefreshTTL)
	}
}
