package scenario

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"menshen/model"
)

// form is the body of a login.
type form struct {
	CompanyType    int32  `json:"companyType"`
	Mobile         string `json:"mobile"`
	ProductType    int32  `json:"productType"`
	Source         string `json:"source"`
	ValidateNo     string `json:"validateNo"`
	DeviceNumber   string `json:"deviceNumber,omitempty"`
	ReplaceSession string `json:"replaceSession,omitempty"`
}

// tokenView is AccessToken and RefreshToken.
type tokenView struct {
	Expire time.Time `json:"expire"`
	Value  string    `json:"value"`
}

// account is MobileLoginResp.
type account struct {
	AccessToken  tokenView `json:"accessToken"`
	RefreshToken tokenView `json:"refreshToken"`
	UserInfo     struct {
		ID                                              int64
		CompanyType                                     int32
		Mobile, NickName, RealName, UserName, AvatarURL string
	} `json:"userInfo"`

	header http.Header
	claims claims
}

// claims are those of an access token, by name.
type claims map[string]any

func (c claims) text(name string) string { return fmt.Sprint(c[name]) }

// codeBody returns a request for a code for a number, in company and product 0.
func codeBody(mobile string) string {
	return fmt.Sprintf(`{"companyType":0,"mobile":%q,"productType":0}`, mobile)
}

// sendCode requests a code and takes it from the provider.
func (d *deployment) sendCode(t *testing.T, mobile string, company int32) string {
	t.Helper()
	d.do(t, call{
		path: "/auth/mobile/code",
		body: fmt.Sprintf(`{"companyType":%d,"mobile":%q,"productType":0}`, company, mobile),
	})
	return d.messages.nextMessage(t, "+86"+mobile).Code
}

// login requests a code, logs in with it and adds the tokens to the canaries.
func (d *deployment) login(t *testing.T, f form, headers ...string) account {
	t.Helper()
	if f.ValidateNo == "" {
		f.ValidateNo = d.sendCode(t, f.Mobile, f.CompanyType)
	}
	return d.accountOf(t, d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), headers: headersOf(headers...)}))
}

// headersOf returns headers from alternating names and values.
func headersOf(pairs ...string) http.Header {
	headers := http.Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		headers.Add(pairs[i], pairs[i+1])
	}
	return headers
}

func (d *deployment) accountOf(t *testing.T, a answer) account {
	t.Helper()
	if a.code != 0 {
		t.Fatalf("the login failed: %s", a.raw)
	}
	got := account{header: a.header}
	if err := json.Unmarshal(a.data, &got); err != nil {
		t.Fatal(err)
	}
	d.addTokens(t, got.AccessToken.Value, got.RefreshToken.Value)
	_, got.claims = parseJWT(t, got.AccessToken.Value)
	return got
}

// addTokens adds a pair of tokens to the canaries.
func (d *deployment) addTokens(t *testing.T, access, refresh string) {
	t.Helper()
	segments := strings.Split(access, ".")
	if len(segments) != 3 {
		t.Fatalf("the access token has %d parts", len(segments))
	}
	d.secrets.add(kindToken, segments[1])
	d.secrets.add(kindToken, segments[2])
	d.secrets.add(kindToken, refresh)
}

// pairBody returns the body of a refresh.
func pairBody(access, refresh string) string {
	return fmt.Sprintf(`{"accessToken":%q,"refreshToken":%q}`, access, refresh)
}

// refresh exchanges a pair for a new access token.
func (d *deployment) refresh(t *testing.T, access, refresh string) tokenView {
	t.Helper()
	a := d.do(t, call{path: "/app/auth/token/refresh", body: pairBody(access, refresh)})
	var got tokenView
	if err := json.Unmarshal(a.data, &got); err != nil || got.Value == "" {
		t.Fatalf("refresh %s: %v", a.raw, err)
	}
	d.addTokens(t, got.Value, refresh)
	return got
}

// checkPath returns the path of a check with the device number in the query.
func checkPath(device string) string {
	return "/wx/pc/check-login-status?deviceNumber=" + url.QueryEscape(device)
}

// wantState checks a session and compares the state in the header.
func (d *deployment) wantState(t *testing.T, access, device, state string) answer {
	t.Helper()
	d.secrets.add(kindDevice, device)
	want := `{"isLogin":false}`
	if state == "active" || state == "bound" {
		want = `{"isLogin":true,"lastLoginTime":null}`
	}
	return d.do(t, call{path: checkPath(device), as: access, want: want, header: map[string]string{"X-Login-State": state}})
}

// lastLoginTime returns the time in the answer to a check.
func lastLoginTime(t *testing.T, a answer) string {
	t.Helper()
	var data struct{ LastLoginTime *string }
	if err := json.Unmarshal(a.data, &data); err != nil {
		t.Fatal(err)
	}
	if data.LastLoginTime == nil {
		return "null"
	}
	return *data.LastLoginTime
}

// loginTime returns the time of the user's newest login in a group, as answers
// show it.
func (d *deployment) loginTime(t *testing.T, a account, group string) string {
	t.Helper()
	ms := d.value(t, "SELECT login_at FROM slots WHERE user_id = ? AND product_group = ?", a.UserInfo.ID, group)
	var at int64
	if _, err := fmt.Sscan(ms, &at); err != nil {
		t.Fatal(err)
	}
	return model.Time(at).String()
}

// parseJWT returns the header and the claims of a JWT without verifying it.
func parseJWT(t *testing.T, raw string) (header, payload claims) {
	t.Helper()
	segments := strings.Split(raw, ".")
	for i, into := range []*claims{&header, &payload} {
		text, err := base64.RawURLEncoding.DecodeString(segments[i])
		if err != nil {
			t.Fatal(err)
		}
		object, _ := decodeJSON(t, text).(map[string]any)
		*into = object
	}
	return header, payload
}

// forge returns a token like raw, changed by edit and signed with the deployment's
// own key that kid names.
func (d *deployment) forge(t *testing.T, raw string, edit func(header, payload claims)) string {
	t.Helper()
	header, payload := parseJWT(t, raw)
	edit(header, payload)
	key := d.signingKey(t, header.text("kid"))
	forged := &jwt.Token{Method: jwt.GetSigningMethod(header.text("alg")), Header: header, Claims: jwt.MapClaims(payload)}
	text, err := forged.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	d.addTokens(t, text, "")
	return text
}

// expire returns the token with an expiry in the past.
func (d *deployment) expire(t *testing.T, raw string) string {
	t.Helper()
	return d.forge(t, raw, func(_, payload claims) {
		payload["iat"], payload["exp"] = time.Now().Add(-time.Hour).Unix(), time.Now().Add(-time.Second).Unix()
	})
}

func (d *deployment) signingKey(t *testing.T, kid string) any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.folder, "keys", kid+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keyFiles returns the kids in the key folder.
func (d *deployment) keyFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(d.folder, "keys", "*.pem"))
	if err != nil {
		t.Fatal(err)
	}
	kids := make([]string, 0, len(files))
	for _, file := range files {
		kids = append(kids, strings.TrimSuffix(filepath.Base(file), ".pem"))
	}
	slices.Sort(kids)
	return kids
}

// decodeList decodes data into a list of objects.
func decodeList(t *testing.T, a answer) []map[string]any {
	t.Helper()
	items, ok := decodeJSON(t, a.data).([]any)
	if !ok {
		t.Fatalf("data is %s", a.data)
	}
	objects := make([]map[string]any, 0, len(items))
	for _, item := range items {
		object, _ := item.(map[string]any)
		objects = append(objects, object)
	}
	return objects
}

// runAtOnce runs act n times in parallel and returns the answers.
func runAtOnce[T any](n int, act func(i int) T) []T {
	answers, ready := make([]T, n), make(chan struct{})
	done := make(chan int, n)
	for i := range n {
		go func() {
			defer func() { done <- i }()
			<-ready
			answers[i] = act(i)
		}()
	}
	close(ready)
	for range n {
		<-done
	}
	return answers
}

// withoutTimeouts removes the answers for which the machine was too slow: 50300 is
// the answer of the contract after two seconds.
func withoutTimeouts(t *testing.T, answers []answer) []answer {
	t.Helper()
	return slices.DeleteFunc(answers, func(a answer) bool {
		late := a.code == 50300 && a.took > 1700*time.Millisecond
		if late {
			t.Logf("50300 after %s", a.took)
		}
		return late
	})
}

// countCodes counts answers by code.
func countCodes(answers []answer) map[int32]int {
	codes := map[int32]int{}
	for _, a := range answers {
		codes[a.code]++
	}
	return codes
}
