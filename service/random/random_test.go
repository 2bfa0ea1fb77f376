package random_test

import (
	"strings"
	"testing"

	"menshen/service/random"
)

// TestDigits: codes are uniform over the whole space, leading zeros included
// (ASVS 6.5.3). The bound is that of a fair source at a chance of 10⁻⁹.
func TestDigits(t *testing.T) {
	const length, codes = 6, 170_000 // above 10⁶ digits
	var byPlace [length][10]int
	zeros := 0
	for range codes {
		code := random.Digits(length)
		if len(code) != length {
			t.Fatalf("code %q", code)
		}
		if code[0] == '0' {
			zeros++
		}
		for place, digit := range []byte(code) {
			if digit < '0' || digit > '9' {
				t.Fatalf("code %q", code)
			}
			byPlace[place][digit-'0']++
		}
	}
	for place, counts := range byPlace {
		expected, chi := float64(codes)/10, 0.0
		for _, n := range counts {
			chi += (float64(n) - expected) * (float64(n) - expected) / expected
		}
		if chi > 62 { // 9 degrees of freedom: 58 is exceeded once in 10⁹
			t.Errorf("digits at place %d are not uniform: chi-square %.1f, %v", place, chi, counts)
		}
	}
	if zeros == 0 {
		t.Error("no code begins with 0")
	}
}

func TestDigitsLengths(t *testing.T) {
	for length := 6; length <= 10; length++ {
		seen := map[string]bool{}
		for range 1000 {
			code := random.Digits(length)
			if len(code) != length || strings.Trim(code, "0123456789") != "" {
				t.Fatalf("a code of %d digits is %q", length, code)
			}
			seen[code] = true
		}
		if len(seen) < 990 {
			t.Errorf("%d digits: %d different codes of 1000", length, len(seen))
		}
	}
}
