package telemetry

import (
	"go.uber.org/zap"

	"menshen/service/code"
)

// AlarmReporter counts and logs alarms and challenges. Log returns the current logger.
type AlarmReporter struct {
	Metrics *Metrics
	Log     func() *zap.Logger
}

// Alarm reports an alarm that this instance raised.
func (r AlarmReporter) Alarm(a code.Alarm) {
	r.Metrics.alarms.WithLabelValues(a.What).Inc()
	if a.What == code.AlarmBudget {
		r.Log().Warn("four fifths of code.daily_budget are used", zap.Int("sent", a.Sent), zap.Int("budget", a.Budget))
		return
	}
	fields := []zap.Field{
		zap.String("what", a.What), zap.String("key", a.Key), zap.Int("sent", a.Sent), zap.Int("redeemed", a.Redeemed),
		zap.Duration("window", a.Window), zap.String("action", string(a.Action)),
	}
	if a.Burst != 0 {
		fields = append(fields, zap.Duration("burst", a.Burst), zap.Float64("usual", a.Usual))
	}
	r.Log().Warn("SMS pumping is suspected", fields...)
}

// LowConversion reports an alarm that this instance raised.
func (r AlarmReporter) LowConversion(low code.LowConversion) {
	r.Metrics.alarms.WithLabelValues(code.AlarmConversion).Inc()
	r.Log().Warn("a vendor's messages are redeemed far less than usual", zap.String("provider", low.Provider), zap.String("region", low.Region),
		zap.Float64("ratio", low.Ratio), zap.Float64("before", low.Before))
}

// Challenge reports the outcome of a challenge. err, which may be nil, is why the
// provider could not verify the answer.
func (r AlarmReporter) Challenge(outcome code.ChallengeOutcome, err error) {
	r.Metrics.challenges.WithLabelValues(string(outcome)).Inc()
	if err != nil {
		r.Log().Warn("verify a challenge", zap.Error(err))
	}
}
