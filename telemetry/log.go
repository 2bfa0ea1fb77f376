package telemetry

import (
	"bytes"
	"io"
	stdlog "log"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"menshen/config"
)

// TimeForm is the format of times in the log: RFC 3339 with milliseconds.
const TimeForm = "2006-01-02T15:04:05.000Z07:00"

// LogForm is the format of every line of the log.
func LogForm() zapcore.EncoderConfig {
	form := zap.NewProductionEncoderConfig()
	form.EncodeTime = func(t time.Time, to zapcore.PrimitiveArrayEncoder) { to.AppendString(t.Format(TimeForm)) }
	form.EncodeDuration = zapcore.MillisDurationEncoder
	return form
}

// NewLogger returns an uncoloured logger, whose lines are shorter than 4 KiB and have no
// control characters. out must be safe for concurrent use.
func NewLogger(cfg config.Log, out io.Writer) *zap.Logger {
	level, err := zapcore.ParseLevel(cfg.Level)
	if err != nil {
		level = zapcore.InfoLevel // unreachable: the configuration was checked
	}
	encoder := zapcore.NewConsoleEncoder(LogForm())
	if cfg.Format == "json" {
		encoder = zapcore.NewJSONEncoder(LogForm())
	}
	return zap.New(boundedCore{Core: zapcore.NewCore(encoder, zapcore.AddSync(out), level)})
}

// RedactStandardLog makes the standard logger log only the length of each line until
// restore is called: net/http's client logs bytes that a provider sends unrequested,
// which can echo a code. log returns the current logger.
func RedactStandardLog(log func() *zap.Logger) (restore func()) {
	before := stdlog.Writer()
	stdlog.SetOutput(lineWriter(func(line []byte) {
		log().Warn("a library said something that is not shown, for it may quote secrets", zap.Int("bytes", len(line)))
	}))
	return func() { stdlog.SetOutput(before) }
}

// ServerErrorLog returns the logger for what net/http's server reports about
// connections. log returns the current logger.
func ServerErrorLog(log func() *zap.Logger) *stdlog.Logger {
	return stdlog.New(lineWriter(func(line []byte) {
		log().Warn("http", zap.ByteString("said", bytes.TrimSpace(line)))
	}), "", 0)
}

// lineWriter receives each line that a logger of the standard library writes.
type lineWriter func(line []byte)

// Write passes one line on.
func (w lineWriter) Write(line []byte) (int, error) {
	w(line)
	return len(line), nil
}
