package cli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"menshen/service"
)

// accountColumns are the columns of a file of accounts.
var accountColumns = []string{"companyType", "mobile", "nickName", "realName", "avatarUrl", "source", "externalId", "metadata", "createdAt"}

// setColumn sets the member of a row that a column holds, and reports whether there is
// such a column.
func setColumn(row *service.ImportRow, column, value string) bool {
	i := slices.Index(accountColumns, column)
	if i < 0 {
		return false
	}
	*[]*string{
		&row.CompanyType, &row.Mobile, &row.NickName, &row.RealName, &row.AvatarURL, &row.Source, &row.ExternalID, &row.Metadata, &row.CreatedAt,
	}[i] = value
	return true
}

// maxLine bounds a line of a file, in bytes.
const maxLine = 64 << 10

// accountFile reads a file of accounts: CSV with a header, or JSON lines.
type accountFile struct {
	next    func() (service.ImportRow, error) // io.EOF at the end
	unknown []string                          // columns that are left out
}

// newAccountFile reads the header, if there is one. A file whose first character is { is
// JSON lines.
func newAccountFile(file io.Reader) (*accountFile, error) {
	text := bufio.NewReaderSize(file, maxLine)
	if mark, _ := text.Peek(3); string(mark) == "\ufeff" {
		_, _ = text.Discard(len(mark))
	}
	if start, _ := text.Peek(maxLine); strings.HasPrefix(strings.TrimLeft(string(start), " \t\r\n"), "{") {
		f := &accountFile{}
		f.next = f.jsonLines(text)
		return f, nil
	}
	return newCSVFile(text)
}

func newCSVFile(text *bufio.Reader) (*accountFile, error) {
	source := &recordReader{text: text, left: maxLine}
	records := csv.NewReader(source)
	records.ReuseRecord = true
	names, err := records.Read()
	if err != nil {
		return nil, fmt.Errorf("the header cannot be read: %w", csvProblem(err))
	}
	header, f := slices.Clone(names), &accountFile{}
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		switch {
		case slices.Contains(header[:i], header[i]):
			return nil, fmt.Errorf("the header has the column %q twice", header[i])
		case !slices.Contains(accountColumns, header[i]):
			f.unknown = append(f.unknown, header[i])
		}
	}
	for _, required := range accountColumns[:2] {
		if !slices.Contains(header, required) {
			return nil, fmt.Errorf("the header lacks the column %s; columns are separated by commas", required)
		}
	}
	f.next = func() (row service.ImportRow, err error) {
		source.left = maxLine
		record, err := records.Read()
		if broken := (*csv.ParseError)(nil); errors.As(err, &broken) {
			return service.ImportRow{Line: broken.StartLine, Problem: csvProblem(err).Error()}, nil
		}
		if err != nil {
			return row, err
		}
		row.Line, _ = records.FieldPos(0)
		for i, value := range record {
			setColumn(&row, header[i], value)
			if !utf8.ValidString(value) {
				row.Problem = "not UTF-8"
			}
		}
		return row, nil
	}
	return f, nil
}

// csvProblem is an error of the CSV reader without its line, which the report has.
func csvProblem(err error) error {
	if broken := (*csv.ParseError)(nil); errors.As(err, &broken) {
		if errors.Is(broken.Err, csv.ErrFieldCount) {
			return errors.New("not as many columns as the header has")
		}
		return errors.New("not valid CSV: " + broken.Err.Error())
	}
	return err
}

// errOpenQuote ends an import: where the value ends cannot be told.
var errOpenQuote = fmt.Errorf("a record is longer than %d KiB: is a quote never closed?", maxLine>>10)

// recordReader bounds what is read for one record.
type recordReader struct {
	text *bufio.Reader
	left int
}

// Read reads what is left for the record. It may read ahead by the buffer of its reader.
func (r *recordReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errOpenQuote
	}
	n, err := r.text.Read(p)
	r.left -= n
	return n, err
}

// jsonLines returns what reads the next line that is not blank.
func (f *accountFile) jsonLines(text *bufio.Reader) func() (service.ImportRow, error) {
	number := 0
	return func() (row service.ImportRow, err error) {
		for {
			line, err := text.ReadSlice('\n')
			number++
			row = service.ImportRow{Line: number}
			if errors.Is(err, bufio.ErrBufferFull) {
				row.Problem = fmt.Sprintf("longer than %d KiB", maxLine>>10)
				return row, skipLine(text)
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return row, err
			}
			if line = bytes.TrimSpace(line); len(line) > 0 {
				f.parse(&row, line)
				return row, nil
			}
			if err != nil {
				return row, io.EOF
			}
		}
	}
}

func skipLine(text *bufio.Reader) error {
	for {
		switch _, err := text.ReadSlice('\n'); {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// parse reads the members of an object. null is no value; a number is its text.
func (f *accountFile) parse(row *service.ImportRow, line []byte) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(line, &members); err != nil || members == nil {
		row.Problem = "not one JSON object"
		return
	}
	for name, value := range members {
		text := ""
		switch kind := value.Kind(); {
		case kind == 'n':
		case kind == '"' && name != "metadata":
			unquoted, _ := jsontext.AppendUnquote(nil, value) // the value has been validated
			text = string(unquoted)
		case kind == '0' || name == "metadata":
			text = string(value)
		case slices.Contains(accountColumns, name):
			row.Problem = name + ": not a string or a number"
		}
		if !setColumn(row, name, text) && !slices.Contains(f.unknown, name) && len(f.unknown) < len(accountColumns) {
			f.unknown = append(f.unknown, name)
		}
	}
}
