package sms

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"menshen/model"
)

// FormatJSON makes Log write one JSON object per message. Every other format is that of
// the console: time, level and sentence, then the fields as name=value.
const FormatJSON = "json"

// Log is the sender for development: it writes each message to the log instead of
// sending it. It is the only place where a code may be logged (contract §9, §10), and
// production refuses it.
//
// It does not use zap, whose console encoder does not print the promised form, and
// because a raised log.level must not suppress the codes that a developer needs.
type Log struct {
	Out    io.Writer // the log's own output; one Write per message
	Format string    // FormatJSON, or the console's
	Now    func() time.Time
	// OnMessage may be nil. It receives each message with its text, and must not block.
	OnMessage func(m model.Message, text string, at model.Time)

	mu sync.Mutex
}

// logLine is a message as it is logged.
type logLine struct {
	Level       string `json:"level"`
	Time        string `json:"ts"`
	Text        string `json:"msg"`
	Mobile      string `json:"mobile"`
	ValidateNo  string `json:"validateNo"`
	CompanyType int32  `json:"companyType"`
	ProductType int32  `json:"productType"`
	Purpose     string `json:"purpose"`
	Expire      string `json:"expire"`
}

// Send writes the message, code and number in clear, as one line.
func (l *Log) Send(_ context.Context, m model.Message) (model.Sent, error) {
	now := l.Now()
	line := logLine{
		Level:       "info",
		Time:        now.UTC().Format("2006-01-02T15:04:05.000Z"),
		Text:        "verification code",
		Mobile:      m.Mobile.E164(),
		ValidateNo:  string(m.Code),
		CompanyType: m.CompanyType,
		ProductType: m.ProductType,
		Purpose:     string(m.Purpose),
		Expire:      m.Expire.String(),
	}
	text, err := line.render(l.Format)
	if err != nil {
		return model.Sent{}, fmt.Errorf("log provider: %w", err)
	}
	if err := l.write(text); err != nil {
		return model.Sent{}, fmt.Errorf("log provider: %w", err)
	}
	if l.OnMessage != nil {
		l.OnMessage(m, messageText(m), model.TimeOf(now))
	}
	return model.Sent{MessageID: m.ID}, nil
}

func (l *Log) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.Out.Write(line)
	return err
}

// messageText is what a message would say, for want of a template.
func messageText(m model.Message) string {
	if m.Language == model.LanguageEn {
		return fmt.Sprintf("[menshen] %s is your code. It expires in %d min. Never share it.", string(m.Code), m.Minutes())
	}
	return fmt.Sprintf("【门神】您的验证码是 %s，%d 分钟内有效，请勿告诉他人。", string(m.Code), m.Minutes())
}

func (l logLine) render(format string) ([]byte, error) {
	if format == FormatJSON {
		text, err := json.Marshal(l)
		return append(text, '\n'), err
	}
	return fmt.Appendf(nil, "%s\t%s\t>>>>>> %s\tmobile=%s validateNo=%s companyType=%d productType=%d purpose=%s expire=%s\n",
		l.Time, l.Level, l.Text, l.Mobile, l.ValidateNo, l.CompanyType, l.ProductType, l.Purpose, l.Expire), nil
}
