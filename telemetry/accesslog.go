package telemetry

import (
	"io"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"menshen/config"
)

// AccessLog writes one line for each request. The line of a success may wait in the
// buffer of a LogWriter. It is safe for concurrent use.
type AccessLog struct {
	log      *zap.Logger // of failures
	buffered *zap.Logger // of successes

	// json, if not nil, receives the lines of successes without zap, at a fraction of
	// its cost.
	json  io.Writer
	lines sync.Pool // *[]byte
}

// AccessRecord is a request in the access log. Method, Route, IP and the ids must not
// need quoting in JSON.
type AccessRecord struct {
	RequestID string
	ClientsID string // what a client gave as id, which proves nothing; "" if it gave none
	Method    string
	Route     string // the pattern that matched, never the path
	Status    int
	Code      int32 // of the envelope
	End       time.Time
	Duration  time.Duration
	IP        string
	Actor     string // the operator's key, "" for other requests; it may hold any character
	TraceID   string // "" if there is no trace
	Quiet     bool   // its success is logged at level debug
	Fault     bool   // a failure of the service, logged at level error
	Cause     error  // of a failure; may be nil
}

// NewAccessLog returns an access log that writes to out as configured.
func NewAccessLog(cfg config.Log, out *LogWriter) *AccessLog {
	a := &AccessLog{log: NewLogger(cfg, out), buffered: NewLogger(cfg, out.Buffered())}
	if cfg.Format == "json" && a.buffered.Core().Enabled(zapcore.InfoLevel) {
		a.json = out.Buffered()
		a.lines.New = func() any { return new([]byte) }
	}
	return a
}

// NewPlainAccessLog returns an access log that writes all lines to log.
func NewPlainAccessLog(log *zap.Logger) *AccessLog { return &AccessLog{log: log, buffered: log} }

// Success writes the line of a success.
func (a *AccessLog) Success(r AccessRecord) {
	if a.json == nil || r.Actor != "" || r.Quiet {
		write(a.buffered, r)
		return
	}
	line := a.lines.Get().(*[]byte)
	*line = r.appendJSON((*line)[:0])
	_, _ = a.json.Write(*line) // an error of the log cannot be logged
	a.lines.Put(line)
}

// Failure writes the line of any other request.
func (a *AccessLog) Failure(r AccessRecord) { write(a.log, r) }

func write(log *zap.Logger, r AccessRecord) {
	level := zapcore.InfoLevel
	switch {
	case r.Fault:
		level = zapcore.ErrorLevel
	case r.Quiet:
		level = zapcore.DebugLevel
	}
	entry := log.Check(level, "request")
	if entry == nil {
		return
	}
	fields := []zap.Field{
		zap.String("requestId", r.RequestID), zap.String("method", r.Method), zap.String("route", r.Route),
		zap.Int("status", r.Status), zap.Int32("code", r.Code),
		zap.Float64("durationMs", milliseconds(r.Duration)), zap.String("ip", r.IP),
	}
	if r.Actor != "" {
		fields = append(fields, zap.String("actor", r.Actor))
	}
	if r.TraceID != "" {
		fields = append(fields, zap.String("traceId", r.TraceID))
	}
	if r.ClientsID != "" {
		fields = append(fields, zap.String("clientRequestId", r.ClientsID))
	}
	if r.Cause != nil {
		fields = append(fields, zap.NamedError("cause", r.Cause))
	}
	entry.Write(fields...)
}

// appendJSON appends the line of a success as zap writes it.
func (r *AccessRecord) appendJSON(to []byte) []byte {
	to = append(to, `{"level":"info","ts":"`...)
	to = r.End.AppendFormat(to, TimeForm)
	for _, text := range [...]string{
		`","msg":"request","requestId":"`, r.RequestID, `","method":"`, r.Method, `","route":"`, r.Route, `","status":`,
	} {
		to = append(to, text...)
	}
	to = strconv.AppendInt(to, int64(r.Status), 10)
	to = append(to, `,"code":0,"durationMs":`...)
	to = strconv.AppendFloat(to, milliseconds(r.Duration), 'f', -1, 64)
	to = append(to, `,"ip":"`...)
	to = append(to, r.IP...)
	if r.TraceID != "" {
		to = append(to, `","traceId":"`...)
		to = append(to, r.TraceID...)
	}
	if r.ClientsID != "" {
		to = append(to, `","clientRequestId":"`...)
		to = append(to, r.ClientsID...)
	}
	return append(to, "\"}\n"...)
}

// milliseconds returns d in milliseconds, to the microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
