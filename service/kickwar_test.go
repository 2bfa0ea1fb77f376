package service

import (
	"testing"
	"time"

	"menshen/model"
)

// blow is a login of a device, so many seconds after the one before.
type blow struct {
	device  string // number; "" is none
	label   string
	seconds int
}

// TestKickWar: two devices that displace each other five times within ten
// minutes are told of, once every five times, and nobody else is.
func TestKickWar(t *testing.T) {
	turns := func(n, seconds int, devices ...blow) (blows []blow) {
		for i := range n {
			b := devices[i%len(devices)]
			b.seconds = seconds
			blows = append(blows, b)
		}
		return blows
	}
	a, b, c := blow{device: "a", label: "Phone A"}, blow{device: "b", label: "Phone B"}, blow{device: "c", label: "Phone C"}
	for name, tt := range map[string]struct {
		blows []blow
		wars  []string // details
	}{
		"four blows":               {turns(5, 60, a, b), nil},
		"five blows":               {turns(6, 60, a, b), []string{`{"group":"app","times":"5"}`}},
		"nine blows":               {turns(10, 30, a, b), []string{`{"group":"app","times":"5"}`}},
		"ten blows":                {turns(11, 30, a, b), []string{`{"group":"app","times":"5"}`, `{"group":"app","times":"10"}`}},
		"too slow":                 {turns(20, 151, a, b), nil},
		"just fast enough":         {turns(6, 149, a, b), []string{`{"group":"app","times":"5"}`}},
		"labels alone":             {turns(6, 60, blow{label: "Phone A"}, blow{label: "Phone B"}), []string{`{"group":"app","times":"5"}`}},
		"numbers under one label":  {turns(6, 60, blow{device: "a", label: "Phone"}, blow{device: "b", label: "Phone"}), []string{`{"group":"app","times":"5"}`}},
		"one of them has no label": {turns(6, 60, a, blow{device: "b"}), []string{`{"group":"app","times":"5"}`}},
		"one device again":         {turns(20, 10, a), nil},
		"three in turn":            {turns(9, 10, a, b, c), nil},
		"a third one between":      {append(append(turns(4, 10, a, b), c), turns(2, 10, a, b)...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			eachFleet(t, func(t *testing.T, f *fleet) {
				i, number := f.start(0), f.number()
				var user int64
				for _, blow := range tt.blows {
					f.clock.Advance(time.Duration(blow.seconds) * time.Second)
					i.send(t, number)
					result, err := i.login.Do(t.Context(), LoginRequest{
						Mobile: number, ValidateNo: fleetCode, DeviceNumber: blow.device, Caller: Caller{IP: "192.0.2.1", Device: blow.label},
					})
					if err != nil {
						t.Fatal(err)
					}
					user = result.User.User.ID
				}
				lines := f.lines(t, user, model.EventKickWar)
				if len(lines) != len(tt.wars) {
					t.Fatalf("the log tells of %+v, want %v", lines, tt.wars)
				}
				for n, l := range lines {
					if l.Detail != tt.wars[n] || l.Actor != actorSystem || l.Session == "" {
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
	eachFleet(t, func(t *testing.T, f *fleet) {
		i, number := f.start(0), f.number()
		var p phone
		for n := range 6 {
			f.clock.Advance(time.Minute)
			i.send(t, number)
			device := []string{"a", "b"}[n%2]
			result, err := i.login.Do(t.Context(), LoginRequest{Mobile: number, ValidateNo: fleetCode, Caller: Caller{Device: "Phone " + device}})
			if err != nil {
				t.Fatal(err)
			}
			p.user = result.User.User.ID
			if p.claims, err = i.tokens.Verify(string(result.Access.Value)); err != nil {
				t.Fatal(err)
			}
			i.wantState(t, p, device, StateBound)
		}
		if lines := f.lines(t, p.user, model.EventKickWar); len(lines) != 1 {
			t.Errorf("the log tells of %+v", lines)
		}
	})
}
