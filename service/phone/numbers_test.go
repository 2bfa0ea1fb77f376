package phone

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"menshen/model"
)

var (
	chinaOnly = Numbers{DefaultRegion: "CN", Regions: []string{"CN"}}
	world     = Numbers{DefaultRegion: "CN", Regions: []string{"CN", "US", "GB", "HK"}}
	britain   = Numbers{DefaultRegion: "GB", Regions: []string{"CN", "US", "GB", "HK"}}
	america   = Numbers{DefaultRegion: "US", Regions: []string{"US"}}
	nowhere   = Numbers{Regions: []string{"CN", "GB"}}
)

// checkNumber fails unless raw becomes want; "" wants a refusal.
func checkNumber(t *testing.T, n Numbers, raw, want string) {
	t.Helper()
	got, err := n.Parse(raw)
	if want == "" {
		if !errors.Is(err, model.ErrMobile) || got != (model.Mobile{}) {
			t.Errorf("default %s: %q became %q, error %v", n.DefaultRegion, raw, got.E164(), err)
		}
		return
	}
	if err != nil || got.E164() != want {
		t.Errorf("default %s: %q became %q, want %q, error %v", n.DefaultRegion, raw, got.E164(), want, err)
	}
}

func TestNumbersOneNumber(t *testing.T) {
	for _, raw := range []string{
		"13800138000", "+8613800138000", "008613800138000",
		"138 0013 8000", "138-0013-8000", "138.0013.8000", "+86 138-0013-8000", "0086 138 0013 8000",
		" 13800138000", "13800138000 ", "(138)00138000", "[138] 0013 8000", "(+86)13800138000", "+(86) 138 0013 8000",
		"1 3 8 0 0 1 3 8 0 0 0", "--13800138000--", "00-86-138-0013-8000", "00 86 13800138000",
		"１３８００１３８０００", "＋８６１３８００１３８０００", "００８６１３８００１３８０００", "+８６ １３８００１３８０００",
		"138\u00a00013\u00a08000", "138\u30000013\u30008000", "　13800138000　",
		"138\u20100013\u20108000", "138\u20110013\u20118000", "138\u20120013\u20128000", "138\u20130013\u20138000",
		"138\u20140013\u20148000", "138\u20150013\u20158000", "138\u22120013\u22128000", "138－0013－8000",
		"\u202d13800138000\u202c", "\u200e+86 138 0013 8000\u200e", "\u2068+86\u00a0138\u00a00013\u00a08000\u2069", "\u202a\u202b\u202c\u202d\u202e13800138000", "\u200f13800138000\u061c",
		"\ufeff13800138000", "138\u200b0013\u200b8000", "138\u200c0013\u200d8000", "138\u206000138000", "138\u00ad0013\u00ad8000", "138\u180e00138000", "+\u200e86\u200e13800138000", "0\u200b0\u200b86 13800138000",
		"138\u20090013\u20098000", "138\u202f0013\u202f8000", "138\u20000013\u20018000", "138\u20030013\u200a8000", "138\u205f0013\u16808000", "138\u20070013\u20088000", "\u3000＋８６\u3000１３８\u3000００１３\u3000８０００\u3000",
		"\u2066\u3000" + strings.Repeat("\u200b", 40) + "１３８００１３８０００", // 64 characters are more bytes
		"138．0013．8000", "（138）0013 8000", "［138］0013 8000", "（＋86）138 0013 8000", "+ 86 138 0013 8000",
	} {
		checkNumber(t, chinaOnly, raw, "+8613800138000")
		checkNumber(t, world, raw, "+8613800138000")
	}
}

func TestNumbersRefused(t *testing.T) {
	for _, raw := range []string{
		"", " ", "+", "++", "0", "+86", "0086", "1", "86",
		"8613800138000", "013800138000", "+86013800138000", "+860013800138000", "+00861380013800", "+008613800138000",
		"1380013800", "138001380000", "+861380013800", "+86138001380000", "0086138001380000",
		"12800138000", "11800138000", "10800138000", "23800138000", "03800138000", "+8612800138000",
		"13800138000\n", "\n13800138000", "13800138000\r\n", "138\t00138000", "13800138000\x00", "\x0013800138000", "138\v00138000",
		"138\u202800138000", "138\u202900138000", "138\u008500138000", "138\u060000138000", "138\u06dd00138000", "138\u034f00138000", "138\u316400138000", "138\u280000138000", "138\ufe0f00138000",
		"\u200b", "\ufeff\u200e", "\u202d+\u202c", "138\u200b0013800", "+\u200e86\u200e+13800138000", "13800138000\u0301", "\u2066" + strings.Repeat("\u200e", 54) + "13800138000",
		"١٣٨٠٠١٣٨٠٠٠", "१३८००१३८०००", "𝟏𝟑𝟖𝟎𝟎𝟏𝟑𝟖𝟎𝟎𝟎", "¹³⁸⁰⁰¹³⁸⁰⁰⁰", "一三八零零一三八零零零",
		"tel:13800138000", "tel:+8613800138000", "13800138000;ext=5", "13800138000 ext 5", "13800138000x5", "13800138000#5", "13800138000,5",
		"1380013800O", "138OO138OOO", "l3800138000", "1-800-FLOWERS", "13８00138000a", "138/0013/8000", "138_0013_8000", "138*0013*8000",
		"+86+13800138000", "1+3800138000", "13800138000+", "＋+8613800138000", "86+13800138000", "{138}00138000", "138~0013~8000",
		"1.38e10", "0x1380013800", "-", "()", "............", "1380013800\xff", "\xff\xfe13800138000", "138\xc0\x8000138000", "\xed\xa0\x8013800138000",
		"010-12345678", "+861012345678", "95588", "110", "4008001234", "+14155552671", "+447400123456", "+85251234567",
		strings.Repeat(" ", 54) + "13800138000", strings.Repeat("1", 65), strings.Repeat("9", 1<<20),
		"+886912345678", "+85366123456",
	} {
		checkNumber(t, chinaOnly, raw, "")
	}
	checkNumber(t, chinaOnly, strings.Repeat(" ", 53)+"13800138000", "+8613800138000")
	checkNumber(t, Numbers{DefaultRegion: "CN", Regions: []string{"GB"}}, "13800138000", "")
	checkNumber(t, Numbers{}, "+8613800138000", "")
}

// TestNumbersFromQuery: in a query + is a blank, so a leading blank may stand for a plus.
func TestNumbersFromQuery(t *testing.T) {
	for _, row := range []struct {
		n         Numbers
		raw, want string
	}{
		{chinaOnly, "13800138000", "+8613800138000"}, {chinaOnly, " 8613800138000", "+8613800138000"}, {chinaOnly, " 86 138 0013 8000", "+8613800138000"},
		{chinaOnly, " 13800138000", "+8613800138000"}, {chinaOnly, " +8613800138000", "+8613800138000"}, {chinaOnly, "+8613800138000", "+8613800138000"}, {chinaOnly, " 008613800138000", "+8613800138000"},
		{chinaOnly, "8613800138000", ""}, {chinaOnly, " 138001380001", ""}, {chinaOnly, " ", ""}, {chinaOnly, "", ""}, {chinaOnly, "  8613800138000", "+8613800138000"}, {chinaOnly, "\u00a08613800138000", ""},
		{world, " 14155552671", "+8614155552671"}, // a number without the blank comes first
		{world, " 447400123456", "+447400123456"}, {world, " 44 7400 123456", "+447400123456"}, {britain, " 07400123456", "+447400123456"}, {britain, " 447400123456", "+447400123456"},
		{america, " 14155552671", "+14155552671"}, {america, " 4155552671", "+14155552671"}, {nowhere, " 8613800138000", "+8613800138000"},
	} {
		checkNumber(t, row.n, row.n.FromQuery(row.raw), row.want)
	}
}

// TestNumbersNewPrefix: every 1[3-9] is taken, given out already or not.
func TestNumbersNewPrefix(t *testing.T) {
	for second := '3'; second <= '9'; second++ {
		for third := '0'; third <= '9'; third++ {
			number := "1" + string(second) + string(third) + "00138000"
			checkNumber(t, chinaOnly, number, "+86"+number)
			checkNumber(t, britain, "+86"+number, "+86"+number)
		}
	}
}

func TestNumbersRegions(t *testing.T) {
	for _, row := range []struct {
		n         Numbers
		raw, want string
	}{
		{world, "+1 (415) 555-2671", "+14155552671"},
		{world, "001 415 555 2671", "+14155552671"},
		{world, "+44 7400 123456", "+447400123456"},
		{world, "0044 7400 123456", "+447400123456"},
		{world, "+852 5123 4567", "+85251234567"},
		{world, "＋４４７４００１２３４５６", "+447400123456"},
		{world, "+44 (0)7400 123456", ""}, // no silent stripping of the trunk zero
		{world, "+4407400123456", ""},
		{world, "07400123456", ""},               // national, but not of the default region
		{world, "4155552671", ""},                // the same
		{world, "447400123456", ""},              // neither
		{world, "14155552671", "+8614155552671"}, // a Chinese number by its form
		{world, "+442079460958", ""},             // fixed line
		{world, "+448001111111", ""},             // toll free
		{world, "+14165552671", ""},              // Canada
		{world, "+818012345678", ""},             // Japan
		{world, "+999123456789", ""},             // no such country
		{world, "+800123456789", ""},             // no region
		{world, "+11555552671", ""},              // not valid
		{world, "01114155552671", ""},

		{britain, "07400 123456", "+447400123456"},
		{britain, "7400123456", "+447400123456"},
		{britain, "+447400123456", "+447400123456"},
		{britain, "00447400123456", "+447400123456"},
		{britain, "447400123456", ""},
		{britain, "007400123456", ""},
		{britain, "020 7946 0958", ""},
		{britain, "13800138000", ""},
		{britain, "0086 13800138000", "+8613800138000"},
		{britain, "+8612800138000", ""},
		{britain, "07781 123456", ""}, // Guernsey

		{america, "(415) 555-2671", "+14155552671"},
		{america, "14155552671", ""},
		{america, "4165552671", ""}, // Canada
		{america, "+8613800138000", ""},

		{nowhere, "+8613800138000", "+8613800138000"},
		{nowhere, "13800138000", ""},
		{nowhere, "07400123456", ""},
	} {
		checkNumber(t, row.n, row.raw, row.want)
	}
}

func TestNumbersNational(t *testing.T) {
	for _, row := range []struct {
		n          Numbers
		e164, want string
	}{
		{chinaOnly, "+8613800138000", "13800138000"},
		{chinaOnly, "+447400123456", "+447400123456"},
		{world, "+14155552671", "+14155552671"},
		{britain, "+447400123456", "07400123456"},
		{britain, "+447781123456", "+447781123456"},
		{britain, "+8613800138000", "+8613800138000"},
		{america, "+14155552671", "4155552671"},
		{america, "+14165552671", "+14165552671"},
		{nowhere, "+8613800138000", "+8613800138000"},
		{nowhere, "+447400123456", "+447400123456"},
		{britain, "", ""},
		{chinaOnly, "", ""},
	} {
		if got := row.n.National(model.NewMobile(row.e164)); got != row.want {
			t.Errorf("default %s: %s is shown as %s, want %s", row.n.DefaultRegion, row.e164, got, row.want)
		}
	}
}

var e164Form = regexp.MustCompile(`\A\+[1-9]\d{6,14}\z`)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"13800138000", "+86 138-0013-8000", "００８６１３８００１３８０００", "+14155552671", "07400 123456", "+852 5123 4567",
		"\u202d+86 138-0013-8000\u202c", "\ufeff138\u200900138000", "138\u061c00138000", "1-800-FLOWERS", "tel:+8613800138000", "13800138000;ext=5", "\xff", "+44 (0)7400 123456", "8613800138000", "+0", "00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, n := range []Numbers{chinaOnly, world, britain, america, nowhere, {DefaultRegion: "AR", Regions: []string{"AR"}}} {
			m, err := n.Parse(raw)
			if err != nil {
				if !errors.Is(err, model.ErrMobile) {
					t.Fatalf("%q: error %v", raw, err)
				}
				continue
			}
			if !e164Form.MatchString(m.E164()) {
				t.Fatalf("%q became %q", raw, m.E164())
			}
			digits := m.E164()[1:]
			for _, spelling := range []string{
				m.E164(), "00" + digits, n.National(m), "（＋" + digits[:3] + "）-" + digits[3:],
			} {
				if again, err := n.Parse(spelling); err != nil || again != m {
					t.Fatalf("default %s: %q became %q, its spelling %q became %q, error %v",
						n.DefaultRegion, raw, m.E164(), spelling, again.E164(), err)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := chinaOnly.Parse("+86 138-0013-8000"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestNumbersPrefix(t *testing.T) {
	for e164, want := range map[string]string{
		"+8613800138000": "+861380013", "+8613800139999": "+861380013", "+8613800148000": "+861380014",
		"+14155550123": "US", "+447400123456": "GB", "+85291234567": "HK", "+1": "",
	} {
		for _, n := range []Numbers{chinaOnly, world, nowhere} {
			if got := n.Prefix(model.NewMobile(e164)); got != want {
				t.Errorf("the prefix of %s is %q, want %q", e164, got, want)
			}
		}
	}
}

// TestNumbersRegion: the region is one of those that Parse accepts, also for prefixes of
// China that the library does not know.
func TestNumbersRegion(t *testing.T) {
	for typed, want := range map[string]string{
		"13800138000": "CN", "19999999999": "CN", "+85251234567": "HK", "+14155550123": "US", "+447400123456": "GB",
	} {
		mobile, err := world.Parse(typed)
		if got := world.Region(mobile); err != nil || got != want {
			t.Errorf("%s is of region %q, want %q, error %v", typed, got, want, err)
		}
	}
}
