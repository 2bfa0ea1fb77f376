package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	urfave "github.com/urfave/cli/v3"

	"menshen/app"
)

// healthTime bounds the request; an instance answers within two seconds.
const healthTime = 3 * time.Second

// healthcheckCommand is for containers without a shell.
func healthcheckCommand(p app.Process) *urfave.Command {
	return plain(p, "healthcheck", "ask the instance on this machine whether it is ready", healthcheck)
}

func healthcheck(ctx context.Context, a *app.App) error {
	url, err := readyURL(a.Config.Server.Addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // without a proxy
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: status %d", response.StatusCode)
	}
	_, err = fmt.Fprintln(a.Out, "ready")
	return err
}

// readyURL is the readiness check of an instance on this machine that listens on addr.
func readyURL(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", errors.New("server.addr: port 0 is chosen at the start and not known here")
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip == netip.IPv6Unspecified():
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, port) + "/readyz", nil
}
