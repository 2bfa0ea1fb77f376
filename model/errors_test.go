package model_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
)

// contractCodes are the codes of contract §1.
var contractCodes = []int32{
	40000, 40001, 40002,
	40100, 40101, 40102, 40103, 40104, 40105,
	40300, 40301, 40400, 40500, 40900, 40901, 40902, 41300, 41500,
	42900, 42901, 42902, 42903,
	50000, 50300, 50301,
}

func TestFailuresAreThoseOfTheContract(t *testing.T) {
	var codes []int32
	for _, f := range model.Failures() {
		codes = append(codes, f.Code)
	}
	if diff := cmp.Diff(contractCodes, codes); diff != "" {
		t.Errorf("numbers, or their order, differ:\n%s", diff)
	}
	if !slices.IsSorted(codes) || len(slices.Compact(codes)) != len(codes) {
		t.Errorf("numbers are not sorted or not unique: %v", codes)
	}
}

// TestFailuresListsTheWholeTable finds a row that is declared but not listed.
func TestFailuresListsTheWholeTable(t *testing.T) {
	declared := declaredFailures(t)
	if listed := len(model.Failures()); listed != len(declared) {
		t.Errorf("%d failures are listed, %d declared: %v", listed, len(declared), declared)
	}
}

// declaredFailures are the names of all variables of this package whose value is
// &Failure{…}.
func declaredFailures(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			if group, ok := declaration.(*ast.GenDecl); ok && group.Tok == token.VAR {
				names = append(names, failuresOf(group)...)
			}
		}
	}
	return names
}

func failuresOf(group *ast.GenDecl) (names []string) {
	for _, spec := range group.Specs {
		values := spec.(*ast.ValueSpec).Values
		for i, value := range values {
			if address, ok := value.(*ast.UnaryExpr); ok && isFailure(address.X) {
				names = append(names, spec.(*ast.ValueSpec).Names[i].Name)
			}
		}
	}
	return names
}

func isFailure(value ast.Expr) bool {
	literal, ok := value.(*ast.CompositeLit)
	if !ok {
		return false
	}
	name, ok := literal.Type.(*ast.Ident)
	return ok && name.Name == "Failure"
}

func TestFailureSentences(t *testing.T) {
	seen := map[string]int32{}
	for _, f := range model.Failures() {
		t.Run(fmt.Sprint(f.Code), func(t *testing.T) {
			if http.StatusText(f.Status()) == "" || f.Status() < 400 {
				t.Errorf("status %d is no HTTP failure", f.Status())
			}
			for _, sentence := range []string{f.Zh, f.En} {
				if other := seen[sentence]; sentence == "" || other != 0 {
					t.Errorf("sentence %q is empty or that of %d too", sentence, other)
				}
				seen[sentence] = f.Code
			}
			for _, r := range f.En {
				if r < ' ' || r > '~' {
					t.Errorf("English sentence has %q, which is not printable ASCII", r)
				}
			}
			if f.En[len(f.En)-1] != '.' {
				t.Errorf("English sentence %q has no full stop", f.En)
			}
			if !slices.ContainsFunc([]rune(f.Zh), func(r rune) bool { return r >= 0x4e00 && r <= 0x9fff }) {
				t.Errorf("Chinese sentence %q has no Chinese character", f.Zh)
			}
			if f.Data() != nil || f.Unwrap() != nil {
				t.Error("a row of the table carries data or a cause")
			}
		})
	}
}

func TestFailureIs(t *testing.T) {
	cause := errors.New("cause")
	tests := []struct {
		name        string
		err, target error
		want        bool
	}{
		{"itself", model.ErrCode, model.ErrCode, true},
		{"another row", model.ErrCode, model.ErrMobile, false},
		{"wrapped", model.ErrCode.Wrap(cause), model.ErrCode, true},
		{"with data", model.ErrCode.With(1), model.ErrCode, true},
		{"after a time", model.ErrCode.After(time.Second), model.ErrCode, true},
		{"target is a copy", model.ErrCode, model.ErrCode.Wrap(cause), true},
		{"within another error", fmt.Errorf("doing: %w", model.ErrCode), model.ErrCode, true},
		{"joined", errors.Join(cause, model.ErrCode), model.ErrCode, true},
		{"its cause", model.ErrCode.Wrap(cause), cause, true},
		{"a failure as cause", model.ErrUnavailable.Wrap(model.ErrCode), model.ErrCode, true},
		{"no failure", cause, model.ErrCode, false},
		{"nothing", nil, model.ErrCode, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := errors.Is(tt.err, tt.target); got != tt.want {
				t.Errorf("errors.Is(%v, %v) = %v", tt.err, tt.target, got)
			}
		})
	}
}

func TestFailureCopies(t *testing.T) {
	before := *model.ErrTooMany
	cause := errors.New("cause")
	first := model.ErrTooMany.Wrap(cause)
	second := first.With("data")
	third := second.After(90 * time.Second)
	if *model.ErrTooMany != before {
		t.Errorf("the table was changed: %+v", *model.ErrTooMany)
	}
	if first.Data() != nil || second.RetryAfter() != 1 {
		t.Errorf("a copy was changed: %+v, %+v", first, second)
	}
	if third.Unwrap() != cause || third.Data() != "data" || third.RetryAfter() != 90 { //nolint:errorlint // the very cause
		t.Errorf("a copy of a copy lost something: %+v", third)
	}
}

func TestFailureTaking(t *testing.T) {
	form := model.ErrMediaType.Taking("application/x-www-form-urlencoded")
	if !errors.Is(form, model.ErrMediaType) || form.En != "The request body must be application/x-www-form-urlencoded." || form.Zh != "请求内容须为 application/x-www-form-urlencoded" {
		t.Errorf("the copy is %+v", form)
	}
	if same := model.ErrMediaType.Taking("application/json"); *same != *model.ErrMediaType {
		t.Errorf("the copy is %+v, the row %+v", same, model.ErrMediaType)
	}
}

func TestFailureErrorIsForTheLog(t *testing.T) {
	const want = "40002 The verification code is wrong or no longer valid."
	if got := model.ErrCode.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := model.ErrCode.Wrap(errors.New("no row")).Error(); got != want+": no row" {
		t.Errorf("got %q, want the cause as well", got)
	}
}

func TestFailureRetryAfter(t *testing.T) {
	tests := []struct {
		name  string
		f     *model.Failure
		after time.Duration
		want  int64
	}{
		{"not a limit, no time", model.ErrCode, 0, 0},
		{"not a limit, negative", model.ErrCode, -time.Second, 0},
		{"limit without a time", model.ErrTooMany, 0, 1},
		{"limit in the past", model.ErrCooldown, -time.Hour, 1},
		{"a nanosecond", model.ErrCooldown, 1, 1},
		{"999 ms", model.ErrCooldown, 999 * time.Millisecond, 1},
		{"one second", model.ErrCooldown, time.Second, 1},
		{"a bit more", model.ErrDailyLimit, time.Second + 1, 2},
		{"59.001 s", model.ErrTooManyFailures, 59001 * time.Millisecond, 60},
		{"a day", model.ErrDailyLimit, 24 * time.Hour, 86400},
		{"storage away for a time", model.ErrUnavailable, 1500 * time.Millisecond, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.f.After(tt.after).RetryAfter(); got != tt.want {
				t.Errorf("RetryAfter is %d, want %d", got, tt.want)
			}
		})
	}
}

func TestAsFailure(t *testing.T) {
	cause := errors.New("disk on fire")
	if got := model.AsFailure(cause); !errors.Is(got, model.ErrInternal) || !errors.Is(got, cause) {
		t.Errorf("a foreign error became %v, want 50000 with the cause", got)
	}
	if got := model.AsFailure(fmt.Errorf("doing: %w", model.ErrBanned.With("data"))); got.Code != 40300 || got.Data() != "data" {
		t.Errorf("a wrapped failure became %v", got)
	}
}

func TestMalformed(t *testing.T) {
	one, both := model.MalformedField("mobile", model.ReasonLength), model.Malformed(
		model.FieldProblem{Field: "companyType", Reason: model.ReasonRequired},
		model.FieldProblem{Field: "source", Reason: model.ReasonType},
	)
	for f, want := range map[*model.Failure]string{
		one:  `{"fields":[{"field":"mobile","reason":"length"}]}`,
		both: `{"fields":[{"field":"companyType","reason":"required"},{"field":"source","reason":"type"}]}`,
	} {
		if got := marshalled(t, f.Data()); !errors.Is(f, model.ErrMalformed) || got != want {
			t.Errorf("%v has data %s, want %s", f, got, want)
		}
	}
}
