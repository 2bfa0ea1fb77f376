package service_test

import (
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// deviceLogin is a login of a device, seconds after the login before.
type deviceLogin struct {
	device  string // number; "" is none
	label   string
	seconds int
}

// TestKickWar: two devices that displace each other five times within ten
// minutes are logged, once every five times, and no other devices are.
func TestKickWar(t *testing.T) {
	turns := func(n, seconds int, devices ...deviceLogin) (logins []deviceLogin) {
		for i := range n {
			b := devices[i%len(devices)]
			b.seconds = seconds
			logins = append(logins, b)
		}
		return logins
	}
	a, b, c := deviceLogin{device: "a", label: "Phone A"}, deviceLogin{device: "b", label: "Phone B"}, deviceLogin{device: "c", label: "Phone C"}
	for name, tt := range map[string]struct {
		logins []deviceLogin
		wars   []string // details
	}{
		"four displacements":       {turns(5, 60, a, b), nil},
		"five displacements":       {turns(6, 60, a, b), []string{`{"group":"app","times":"5"}`}},
		"nine displacements":       {turns(10, 30, a, b), []string{`{"group":"app","times":"5"}`}},
		"ten displacements":        {turns(11, 30, a, b), []string{`{"group":"app","times":"5"}`, `{"group":"app","times":"10"}`}},
		"too slow":                 {turns(20, 151, a, b), nil},
		"just fast enough":         {turns(6, 149, a, b), []string{`{"group":"app","times":"5"}`}},
		"labels alone":             {turns(6, 60, deviceLogin{label: "Phone A"}, deviceLogin{label: "Phone B"}), []string{`{"group":"app","times":"5"}`}},
		"numbers under one label":  {turns(6, 60, deviceLogin{device: "a", label: "Phone"}, deviceLogin{device: "b", label: "Phone"}), []string{`{"group":"app","times":"5"}`}},
		"one of them has no label": {turns(6, 60, a, deviceLogin{device: "b"}), []string{`{"group":"app","times":"5"}`}},
		"one device again":         {turns(20, 10, a), nil},
		"three in turn":            {turns(9, 10, a, b, c), nil},
		"a third one between":      {append(append(turns(4, 10, a, b), c), turns(2, 10, a, b)...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			eachDeployment(t, func(t *testing.T, d *deployment) {
				i, number := d.start(0), d.number()
				var user int64
				for _, deviceLogin := range tt.logins {
					d.clock.Advance(time.Duration(deviceLogin.seconds) * time.Second)
					i.receiveCode(number)
					result, err := i.login.Do(t.Context(), service.LoginRequest{
						Mobile: number, ValidateNo: fixedCode, DeviceNumber: deviceLogin.device, Caller: model.Caller{IP: "192.0.2.1", Device: deviceLogin.label},
					})
					if err != nil {
						t.Fatal(err)
					}
					user = result.User.User.ID
				}
				lines := d.lines(t, user, model.EventKickWar)
				if len(lines) != len(tt.wars) {
					t.Fatalf("the log tells of %+v, want %v", lines, tt.wars)
				}
				for n, l := range lines {
					if l.Detail != tt.wars[n] || l.Actor != model.ActorSystem || l.Session == "" {
						t.Errorf("line %+v, want %s", l, tt.wars[n])
					}
				}
			})
		})
	}
}

// TestKickWarBoundByChecks: devices that are bound by their first check are the
// same devices at their next login, which knows their label alone.
func TestKickWarBoundByChecks(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i, number := d.start(0), d.number()
		var p client
		for n := range 6 {
			d.clock.Advance(time.Minute)
			i.receiveCode(number)
			device := []string{"a", "b"}[n%2]
			result, err := i.login.Do(t.Context(), service.LoginRequest{Mobile: number, ValidateNo: fixedCode, Caller: model.Caller{Device: "Phone " + device}})
			if err != nil {
				t.Fatal(err)
			}
			p.user = result.User.User.ID
			if p.claims, err = i.tokens.Verify(string(result.Access.Value)); err != nil {
				t.Fatal(err)
			}
			i.wantState(t, p, device, service.StateBound)
		}
		if lines := d.lines(t, p.user, model.EventKickWar); len(lines) != 1 {
			t.Errorf("the log tells of %+v", lines)
		}
	})
}
