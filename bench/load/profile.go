package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// profileTime is how long each load is watched.
const profileTime = 20 * time.Second

// profile measures where menshen spends processor time under the check, and under
// codes, logins and refreshes on each database, and writes one profile of all to
// the file: for the compiler (PGO) and for people.
func profile(ctx context.Context, file string) error {
	s, err := openStage(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.makeRoom(ctx, liveSessions); err != nil {
		return err
	}
	p, _, requests, err := s.startSeeded(ctx)
	if err != nil {
		return err
	}
	part, err := s.watch(ctx, p, func(ctx context.Context) error {
		_, err := checks(p.addr, writers, requests, profileTime+warmUp).closed(ctx)
		return err
	})
	if err := errors.Join(err, p.stop()); err != nil {
		return err
	}
	parts := []string{part}
	for _, driver := range s.drivers() {
		part, err := s.watchWrites(ctx, driver)
		if err != nil {
			return err
		}
		parts = append(parts, part)
	}
	return merge(ctx, parts, file)
}

// watchWrites watches rounds of codes, logins and refreshes.
func (s *stage) watchWrites(ctx context.Context, driver string) (string, error) {
	d, err := s.deploy(ctx, "profile_"+driver, driver)
	if err != nil {
		return "", err
	}
	p, err := d.start(ctx)
	if err != nil {
		return "", err
	}
	c := &crowd{acts: &acts{driver: driver}, process: p, meter: d.meter(p), provider: s.provider}
	part, err := s.watch(ctx, p, func(ctx context.Context) error {
		for end := time.Now().Add(profileTime + warmUp); time.Now().Before(end); {
			if err := c.round(ctx, quickTime); err != nil {
				return err
			}
		}
		return nil
	})
	return part, errors.Join(err, p.stop())
}

// watch takes the process's profile while the load runs.
func (s *stage) watch(ctx context.Context, p *process, load func(context.Context) error) (string, error) {
	loaded := make(chan error, 1)
	go func() { loaded <- load(ctx) }()
	part := filepath.Join(s.folder, fmt.Sprintf("cpu-%d.pprof", p.pid))
	return part, errors.Join(p.saveProfile(ctx, part), <-loaded)
}

func (p *process) saveProfile(ctx context.Context, file string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.admin, int(profileTime.Seconds()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("profile: %s: %s", response.Status, content)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}

// merge makes one profile of the parts.
func merge(ctx context.Context, parts []string, file string) error {
	merged, err := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-proto"}, parts...)...).Output() //nolint:gosec // our own files
	if err != nil {
		return fmt.Errorf("merge profiles: %w", err)
	}
	return os.WriteFile(file, merged, 0o644) //nolint:gosec // to be committed
}
