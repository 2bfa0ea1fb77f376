package config

import (
	"errors"
	"io"
	"io/fs"
	"reflect"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// embeddedName stands for the embedded file where a problem must name it.
const embeddedName = "embedded config.yaml"

// Options are the layers of a configuration.
type Options struct {
	Defaults     []byte   // the embedded config.yaml, which holds every key
	File         string   // path of the file; empty for none
	FileText     []byte   // what File holds, when that was read already; nil: read it
	FileRequired bool     // whether the file's absence is a problem: it was asked for by name
	Environ      []string // "NAME=value" as os.Environ answers it; of two equal names the last counts
}

// Load reads, merges and checks a configuration. The warnings are sentences for
// the log, without values, and may come beside an error. The error is of
// type [Problems] and holds all of them; the Config is then nil.
func Load(o Options) (cfg *Config, warnings []string, err error) {
	text, err := o.text()
	if err != nil {
		return nil, nil, err
	}
	return layers{o: o, file: text, open: readFile}.load()
}

// text reads the file. One that need not be there and is not, is empty.
func (o Options) text() ([]byte, error) {
	if o.File == "" || o.FileText != nil {
		return o.FileText, nil
	}
	text, err := readFile(o.File)
	switch {
	case err == nil:
		return text, nil
	case errors.Is(err, fs.ErrNotExist) && !o.FileRequired:
		return nil, nil
	}
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return nil, Problems{{Key: o.File, Text: "cannot read the configuration file: " + err.Error()}}
}

// layers is Load after the file was read.
type layers struct {
	o    Options
	file []byte
	open func(name string) ([]byte, error) // reads the files that _FILE variables name
}

func (l layers) load() (*Config, []string, error) {
	r := newReport()
	defaults, err := l.layer(r, embeddedName, l.o.Defaults)
	if err != nil {
		return nil, nil, err
	}
	// The embedded text is no place to send an operator to.
	clear(r.origin)
	file, err := l.layer(r, l.o.File, l.file)
	if err != nil {
		return nil, nil, err
	}
	environ := environment{report: r, open: l.open}
	values, warnings := environ.values(l.o.Environ)

	cfg, err := merge(defaults, file, values)
	if err != nil {
		r.refuse(embeddedName, "", "%s", err)
		return nil, warnings, r.problems
	}
	(&rules{Config: cfg, report: r}).check()
	if len(r.problems) > 0 {
		return nil, warnings, r.problems
	}
	cfg.inherit()
	cfg.hashKeys()
	return cfg, append(warnings, cfg.warnings()...), nil
}

// layer reads a YAML file. Of one that is malformed nothing can be said but
// that, so it is the error.
func (layers) layer(r *report, name string, text []byte) (map[string]any, error) {
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

// merge lets viper put the typed layers over each other. A key that the
// embedded file lacks is an error, so that the manual is always whole.
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

// inherit fills in what products leave to the token section.
func (c *Config) inherit() {
	for i := range c.Products {
		if c.Products[i].AccessTTL == 0 {
			c.Products[i].AccessTTL = c.Token.AccessTTL
		}
		if c.Products[i].RefreshTTL == 0 {
			c.Products[i].RefreshTTL = c.Token.RefreshTTL
		}
	}
}

func readSmall(r io.Reader) ([]byte, error) {
	const bound = 1 << 20
	text, err := io.ReadAll(io.LimitReader(r, bound+1))
	if err == nil && len(text) > bound {
		return nil, errTooLarge
	}
	return text, err
}
