package architecture

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"menshen/model"
)

// TestComposeIsHardened: each container has no privilege that it does not need, leaves
// nothing of its memory on a disk, and sees only the networks of its work.
func TestComposeIsHardened(t *testing.T) {
	atTop(t)
	var c composition
	readComposition(t, &c)
	capabilities := map[string][]string{"nginx": {"CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETGID", "SETUID"}} // to give its workers another user
	networks := map[string][]string{
		"menshen-1": {"inside", "providers", "storage"}, "menshen-2": {"inside", "providers", "storage"}, "nginx": {"clients", "inside"}, "mysql": {"storage"},
	}
	if len(c.Services) != len(networks) {
		t.Errorf("the services are %v", slices.Collect(maps.Keys(c.Services)))
	}
	for name, s := range c.Services {
		if !s.ReadOnly || s.Privileged || !slices.Equal(s.Dropped, []string{"ALL"}) || !slices.Equal(s.Capabilities, capabilities[name]) {
			t.Errorf("%s: read-only %v, privileged %v, dropped %q, added %q", name, s.ReadOnly, s.Privileged, s.Dropped, s.Capabilities)
		}
		if !slices.Contains(s.Security, "no-new-privileges:true") || s.Processes < 1 || s.Processes > 1000 || s.Logging.Driver != "local" {
			t.Errorf("%s: security %q, %d processes, log %q", name, s.Security, s.Processes, s.Logging.Driver)
		}
		if core, given := s.Ulimits["core"]; !given || core != 0 || s.Ulimits["nofile"] < 65536 {
			t.Errorf("%s: limits %v", name, s.Ulimits)
		}
		if s.Memory == "" || s.Memory != s.MemoryAndSwap {
			t.Errorf("%s: memory %s, with swap %s", name, s.Memory, s.MemoryAndSwap)
		}
		var of []string
		switch joined := s.Networks.(type) {
		case []any:
			for _, network := range joined {
				of = append(of, network.(string))
			}
		case map[string]any:
			of = slices.Sorted(maps.Keys(joined))
		}
		if !slices.Equal(of, networks[name]) {
			t.Errorf("%s: networks %q, want %q", name, of, networks[name])
		}
		if (len(s.Ports) > 0) != (name == "nginx") {
			t.Errorf("%s: ports %q", name, s.Ports)
		}
		for _, port := range s.Ports { // on [::] all clients would have the address of Docker's gateway
			if !strings.HasPrefix(port, "0.0.0.0:") {
				t.Errorf("%s: the port %s is not of IPv4 alone", name, port)
			}
		}
	}
	for name, network := range c.Networks {
		if network.Internal != (name == "inside" || name == "storage") {
			t.Errorf("the network %s: internal %v", name, network.Internal)
		}
	}
}

// TestUnit: the unit runs in production, and keeps what its memory holds off the disk. That
// systemd knows its settings, and how exposed it is, is the matter of scripts/deploy-check.
func TestUnit(t *testing.T) {
	atTop(t)
	unit := strings.Split(string(readText(t, "deploy/menshen.service")), "\n")
	for _, want := range []string{
		"Environment=MENSHEN_ENV=production MENSHEN_DATA_DIR=/var/lib/menshen", "User=menshen", "UMask=0077", "StateDirectoryMode=0700",
		"LimitCORE=0", "MemorySwapMax=0", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes",
		"PrivateTmp=yes", "PrivateDevices=yes", "MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources",
		"LimitNOFILE=65536", "AmbientCapabilities=", "PrivateUsers=yes", "PrivateIPC=yes", "DevicePolicy=closed", "ProtectKernelTunables=yes",
		"ProtectKernelModules=yes", "ProtectKernelLogs=yes", "ProtectControlGroups=yes", "ProtectProc=invisible", "RestrictNamespaces=yes",
		"RestrictSUIDSGID=yes", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "SystemCallArchitectures=native",
	} {
		if !slices.Contains(unit, want) {
			t.Errorf("the unit has no line %s", want)
		}
	}
}

// TestGatewayIsHardened: nginx bounds what a client may hold, by the times of the
// instances, and writes no body to the disk.
func TestGatewayIsHardened(t *testing.T) {
	atTop(t)
	conf := string(readText(t, "deploy/nginx.conf"))
	shipped := string(readText(t, "config.yaml"))
	peers := regexp.MustCompile(`(?m)^  max_conns_per_ip: (\d+)$`).FindStringSubmatch(shipped)
	if peers == nil {
		t.Fatal("config.yaml has no max_conns_per_ip")
	}
	http, _, _ := strings.Cut(conf, "upstream ")
	for _, want := range []string{
		"worker_rlimit_core 0;", "server_tokens off;", "access_log off;", "error_log stderr crit;", "reset_timedout_connection on;", "proxy_max_temp_file_size 0;",
		fmt.Sprintf(`return 429 '{"code":%d,"data":null,"msg":"%s"}';`, model.ErrTooMany.Code, model.ErrTooMany.Zh),
		"limit_conn_zone $binary_remote_addr zone=addresses:10m;", "limit_conn addresses " + peers[1] + ";", "limit_conn_status 429;",
		"proxy_set_header X-Forwarded-For $remote_addr;", "proxy_set_header X-Request-Id $request_id;",
	} {
		if !strings.Contains(conf, want) {
			t.Errorf("nginx has no %s", want)
		}
	}
	for directive, most := range map[string]time.Duration{
		"client_header_timeout": 5 * time.Second, "client_body_timeout": 10 * time.Second, "send_timeout": 15 * time.Second, "keepalive_timeout": 75 * time.Second,
	} {
		given := regexp.MustCompile(`(?m)^    ` + directive + ` (\S+);$`).FindStringSubmatch(http)
		if given == nil {
			t.Errorf("nginx has no %s", directive)
		} else if d, err := time.ParseDuration(given[1]); err != nil || d <= 0 || d > most {
			t.Errorf("%s is %s, error %v", directive, given[1], err)
		}
	}
	sizes := map[string]int{}
	for _, directive := range []string{"client_max_body_size", "client_body_buffer_size"} {
		given := regexp.MustCompile(`(?m)^    ` + directive + ` (\d+)k;`).FindStringSubmatch(http)
		if given == nil {
			t.Fatalf("nginx has no %s", directive)
		}
		sizes[directive], _ = strconv.Atoi(given[1])
	}
	if sizes["client_body_buffer_size"] < sizes["client_max_body_size"] || sizes["client_max_body_size"] < 17 {
		t.Errorf("a body may be written to the disk, or is refused before the instances can: %v kB", sizes)
	}
	if strings.Contains(conf, "proxy_request_buffering off") {
		t.Error("slow bodies reach the instances")
	}
}
