package sms

import (
	"strings"
	"testing"
)

// TestSizeOf: 3GPP TS 23.038 has 160 characters of 7 bits in a message, 153 in each of
// several; 70 and 67 of 16 bits.
func TestSizeOf(t *testing.T) {
	x := strings.Repeat
	for text, want := range map[string]Size{
		"":                              {GSM7, 1},
		"123456 is your code":           {GSM7, 1},
		"code\n\n@example.com #123456":  {GSM7, 1},
		x("x", 160):                     {GSM7, 1},
		x("x", 161):                     {GSM7, 2},
		x("x", 306):                     {GSM7, 2},
		x("x", 307):                     {GSM7, 3},
		x("x", 158) + "{":               {GSM7, 1}, // takes two places
		x("x", 159) + "{":               {GSM7, 2},
		x("€", 80):                      {GSM7, 1},
		x("x", 152) + "{" + x("x", 152): {GSM7, 3}, // 306 places, but { is not divided
		x("é", 160):                     {GSM7, 1},
		"验证码 123456":                    {UCS2, 1},
		"your code’s":                   {UCS2, 1},
		"`":                             {UCS2, 1},
		"\t":                            {UCS2, 1},
		x("码", 70):                      {UCS2, 1},
		x("码", 71):                      {UCS2, 2},
		x("码", 134):                     {UCS2, 2},
		x("码", 135):                     {UCS2, 3},
		x("😀", 35):                      {UCS2, 1},
		x("😀", 36):                      {UCS2, 2},
		x("码", 66) + "😀" + x("码", 66):   {UCS2, 3},
	} {
		if got := SizeOf(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if n := len([]rune(gsmBasic)); n != 127 { // 128 with the escape
		t.Errorf("the alphabet has %d characters", n)
	}
}
