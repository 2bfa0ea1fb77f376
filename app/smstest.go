package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"menshen/config"
	"menshen/model"
	"menshen/service/code"
	"menshen/service/random"
)

// testCode is the code of test messages. It opens nothing, because no row knows it.
const testCode = "123456"

// TestMessage is a message that shows whether a vendor takes messages. A member that is
// empty has its default.
type TestMessage struct {
	To       string // in any spelling
	Provider string // default: the first one of the number's route
	Company  *int32 // default: the first one
	Product  *int32 // default: the first one
	Purpose  string // default: login
	Language string // default: server.locale
}

// TestOutcome is what a vendor said of a test message.
type TestOutcome struct {
	Provider  string
	Template  string // as the configuration names it; "" if the provider needs none
	State     model.MessageState
	MessageID string // of the vendor; "" if it gave none
	Took      time.Duration
	Zh, En    string // what it means, and what to mend
	Err       error  // nil: accepted
}

// sendTestTime bounds a test message.
const sendTestTime = 10 * time.Second

// SendTest has a vendor send a test message, apart from all limits and without a database.
// The error is model.ErrMalformed or ErrMobile for a message that cannot be made.
func (a *App) SendTest(ctx context.Context, t TestMessage) (TestOutcome, error) {
	cfg := a.Config
	message, kind, err := a.newTestMessage(t)
	if err != nil {
		return TestOutcome{}, err
	}
	providers, err := newProviders(cfg, a.Out, a.Now, nil)
	if err != nil {
		return TestOutcome{}, err
	}
	name := t.Provider
	for _, route := range newRoutes(cfg.SMS, providers) {
		if name == "" && (slices.Contains(route.Regions, kind.Region) || slices.Contains(route.Regions, code.AnyRegion)) {
			name = route.Providers[0].Name
		}
	}
	i := slices.IndexFunc(providers, func(p code.Provider) bool { return p.Name == name })
	if i < 0 {
		return TestOutcome{}, fmt.Errorf("provider %q is not in use; these are: %s: %w", name, strings.Join(cfg.SMS.Providers(), ", "), model.MalformedField("provider", model.ReasonUnknown))
	}
	outcome := TestOutcome{Provider: name, Template: cfg.SMS.TemplateName(name, kind)}
	ctx, cancel := context.WithTimeout(ctx, sendTestTime)
	defer cancel()
	began := a.steady()
	sent, err := providers[i].Gateway.Send(ctx, message)
	outcome.Took, outcome.MessageID, outcome.Err, outcome.State = a.steady().Sub(began), sent.MessageID, err, code.OutcomeOf(err).State()
	traced := model.TracedMessage{Provider: name, State: outcome.State, Reason: model.VendorText(model.VendorCodeOf(err))}
	outcome.Zh, outcome.En = traced.Sentence()
	return outcome, nil
}

// newTestMessage fills in the defaults.
func (a *App) newTestMessage(t TestMessage) (model.Message, config.Kind, error) {
	cfg, numbers := a.Config, newNumbers(a.Config)
	mobile, err := numbers.Parse(t.To)
	if err != nil {
		return model.Message{}, config.Kind{}, err
	}
	kind := config.Kind{Company: cfg.Companies[0].Type, Product: cfg.Products[0].Type, Region: numbers.Region(mobile), Purpose: t.Purpose, Language: t.Language}
	if t.Company != nil {
		kind.Company = *t.Company
	}
	if t.Product != nil {
		kind.Product = *t.Product
	}
	_, product, err := newCatalog(cfg).Find(kind.Company, kind.Product)
	if err != nil {
		return model.Message{}, kind, err
	}
	if kind.Purpose == "" {
		kind.Purpose = string(model.PurposeLogin)
	}
	if kind.Language == "" {
		kind.Language = cfg.Server.Locale
	}
	if !slices.Contains(config.Languages, kind.Language) {
		return model.Message{}, kind, model.MalformedField("language", model.ReasonUnknown)
	}
	if !slices.Contains([]model.Purpose{model.PurposeLogin, model.PurposeChange, model.PurposeDelete}, model.Purpose(kind.Purpose)) {
		return model.Message{}, kind, model.MalformedField("purpose", model.ReasonUnknown)
	}
	return model.Message{
		ID: "msg_" + random.TextID(), Mobile: mobile, Code: testCode, CompanyType: kind.Company, ProductType: kind.Product,
		Region: kind.Region, Domain: product.Domain, AppHash: product.AppHash, Purpose: model.Purpose(kind.Purpose), Language: kind.Language,
		Expire: model.TimeOf(a.Now().Add(cfg.Code.TTL)), Life: cfg.Code.TTL,
	}, kind, nil
}

// Write prints the outcome, a line for each member.
func (o TestOutcome) Write(out io.Writer) error {
	lines := [][2]string{{"provider", o.Provider}, {"template", o.Template}, {"outcome", string(o.State)}, {"messageId", o.MessageID}, {"time", o.Took.Round(time.Millisecond).String()}}
	if o.Err != nil {
		lines = append(lines, [2]string{"vendor", o.Err.Error()}, [2]string{"to mend", o.En}, [2]string{"处理", o.Zh})
	}
	var text strings.Builder
	for _, line := range lines {
		if line[1] == "" {
			line[1] = "none"
		}
		_, _ = fmt.Fprintf(&text, "%-10s %s\n", line[0]+":", line[1])
	}
	_, err := io.WriteString(out, text.String())
	return err
}
