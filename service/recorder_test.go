package service_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// TestEventRecorder: an event is reported once, when it is committed, and never if it
// is not.
func TestEventRecorder(t *testing.T) {
	errNo := errors.New("no")
	line := func(kind model.Kind) model.Event { return model.Event{Kind: kind, Actor: "user"} }
	for name, tt := range map[string]struct {
		act  func(ctx context.Context, o service.EventRecorder) error
		want []model.Kind
	}{
		"outside of a transaction": {
			func(ctx context.Context, o service.EventRecorder) error {
				return o.Append(ctx, line("login"), line("kick"))
			},
			[]model.Kind{"login", "kick"},
		},
		"committed": {func(ctx context.Context, o service.EventRecorder) error {
			return o.Within(ctx, func(ctx context.Context) error {
				return errors.Join(o.Append(ctx, line("login")), o.Append(ctx), o.Append(ctx, line("kick")))
			})
		}, []model.Kind{"login", "kick"}},
		"rolled back": {func(ctx context.Context, o service.EventRecorder) error {
			return o.Within(ctx, func(ctx context.Context) error { return errors.Join(o.Append(ctx, line("login")), errNo) })
		}, nil},
		"inside another": {func(ctx context.Context, o service.EventRecorder) error {
			return o.Within(ctx, func(ctx context.Context) error {
				inner := o.Within(ctx, func(ctx context.Context) error { return o.Append(ctx, line("login")) })
				undone := o.Within(ctx, func(ctx context.Context) error { return errors.Join(o.Append(ctx, line("ban")), errNo) })
				if !errors.Is(undone, errNo) {
					return undone
				}
				return errors.Join(inner, o.Append(ctx, line("kick")))
			})
		}, []model.Kind{"login", "kick"}},
		"inside one that is rolled back": {func(ctx context.Context, o service.EventRecorder) error {
			return o.Within(ctx, func(ctx context.Context) error {
				return errors.Join(o.Within(ctx, func(ctx context.Context) error { return o.Append(ctx, line("login")) }), errNo)
			})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			eachDeployment(t, func(t *testing.T, d *deployment) {
				var seen []model.Kind
				o := service.EventRecorder{Tx: d.db, Log: repository.Events{DB: d.db}}
				o.OnEvent = func(e model.Event) {
					seen = append(seen, e.Kind)
					if n := d.count("SELECT COUNT(*) FROM events"); n != int64(len(tt.want)) {
						t.Errorf("told when the log has %d lines", n)
					}
				}
				if err := tt.act(t.Context(), o); err != nil && !errors.Is(err, errNo) {
					t.Error(err)
				}
				if !slices.Equal(seen, tt.want) {
					t.Errorf("told of %v, want %v", seen, tt.want)
				}
			})
		})
	}
}

// again runs every act twice, as after a deadlock.
type again struct{}

func (again) Within(ctx context.Context, act func(ctx context.Context) error) error {
	return errors.Join(act(ctx), act(ctx))
}

// deaf takes every line, unless it is to refuse them.
type deaf struct{ refuses error }

func (d deaf) Append(context.Context, ...model.Event) error { return d.refuses }

func TestEventRecorderForgetsTriesAndRefusals(t *testing.T) {
	told := 0
	o := service.EventRecorder{Tx: again{}, Log: deaf{}, OnEvent: func(model.Event) { told++ }}
	err := o.Within(t.Context(), func(ctx context.Context) error { return o.Append(ctx, model.Event{}) })
	if err != nil || told != 1 {
		t.Errorf("told %d times of one line, error %v", told, err)
	}
	o.Log = deaf{errors.New("no")}
	if err := o.Append(t.Context(), model.Event{}); err == nil || told != 1 {
		t.Errorf("told %d times, error %v", told, err)
	}
}
