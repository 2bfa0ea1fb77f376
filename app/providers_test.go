package app

import (
	"io"
	"strings"
	"testing"
	"time"

	"menshen/config"
)

// TestProviderWithoutSender: a provider that the configuration knows and the wiring does
// not is refused, and does not write its codes to the log.
func TestProviderWithoutSender(t *testing.T) {
	cfg := &config.Config{}
	cfg.SMS.Provider = "pigeon"
	if providers, err := newProviders(cfg, io.Discard, time.Now, nil); err == nil || !strings.Contains(err.Error(), "pigeon") || len(providers) > 0 {
		t.Errorf("%d providers, error %v", len(providers), err)
	}
}
