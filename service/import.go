package service

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"menshen/model"
)

// ImportRow is one line of a file of accounts as it was read. A member that the line lacks
// is "".
type ImportRow struct {
	Line        int
	CompanyType string
	Mobile      string
	NickName    string
	RealName    string
	AvatarURL   string
	Source      string
	ExternalID  string
	Metadata    string
	CreatedAt   string
	Problem     string // why the line could not be read; "": it could
}

// BadLine is a line that was not imported.
type BadLine struct {
	Line   int
	Reason string // English; it holds nothing of the line
}

// ImportCounts counts the lines of a file by what became of them.
type ImportCounts struct {
	Lines     int `json:"lines"`
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Bad       int `json:"bad"`
}

// Import creates the accounts of a file, and gives known ones the values that they lack.
// Each batch is one transaction with its events. What a line does depends on the line, the
// lines before it and the account alone, so that a file may be imported again after a
// broken attempt. It is not safe for concurrent use.
type Import struct {
	admin  *Admin
	by     Operator
	dryRun bool
	total  ImportCounts
	lines  map[int32]map[uint64]uint32 // first line of each number, by company
	ids    map[string]bool             // external ids of new accounts; of a dry run alone
}

// NewImport returns the import of one file. A dry run judges all lines and writes nothing.
func (a *Admin) NewImport(by Operator, dryRun bool) *Import {
	return &Import{admin: a, by: by, dryRun: dryRun, lines: map[int32]map[uint64]uint32{}, ids: map[string]bool{}}
}

// Total returns the counts of all batches.
func (i *Import) Total() ImportCounts { return i.total }

// ImportBatch is a good number of rows for Batch.
const ImportBatch = 500

// importTries bounds the tries of a batch whose accounts are created by others meanwhile.
const importTries = 5

// Batch imports the next rows of the file and returns the bad ones.
func (i *Import) Batch(ctx context.Context, rows []ImportRow) (bad []BadLine, err error) {
	batch := importBatch{Import: i}
	for _, row := range rows {
		entry, problem := i.parse(row)
		if problem != "" {
			batch.bad = append(batch.bad, BadLine{row.Line, problem})
			continue
		}
		batch.entries = append(batch.entries, entry)
	}
	unparsed := batch.bad
	for range importTries {
		act := func(ctx context.Context) error {
			batch.reset(unparsed)
			return batch.run(ctx)
		}
		if i.dryRun {
			err = act(ctx)
		} else {
			err = i.admin.Endings.Within(ctx, act)
		}
		if !errors.Is(err, model.ErrNumberTaken) && !errors.Is(err, model.ErrExternalIDTaken) && !errors.Is(err, model.ErrIDTaken) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	for _, user := range batch.created {
		if i.dryRun && user.ExternalID != nil {
			i.ids[externalKey(user)] = true
		}
	}
	i.total.Lines += len(rows)
	i.total.Created += len(batch.created)
	i.total.Updated += len(batch.updated)
	i.total.Bad += len(batch.bad)
	i.total.Unchanged = i.total.Lines - i.total.Created - i.total.Updated - i.total.Bad
	return batch.bad, nil
}

// importEntry is a row whose members are valid.
type importEntry struct {
	line   int
	mobile model.Mobile
	given  model.User // members of the row
}

// parse checks a row. problem is "" if it is good.
func (i *Import) parse(row ImportRow) (entry importEntry, problem string) {
	if row.Problem != "" {
		return entry, row.Problem
	}
	company, err := strconv.ParseInt(row.CompanyType, 10, 32)
	if err != nil {
		return entry, "companyType: not a whole number"
	}
	if _, known := i.admin.Catalog.Company(int32(company)); !known {
		return entry, "companyType: unknown company"
	}
	if row.Mobile == "" {
		return entry, "mobile: missing"
	}
	entry = importEntry{line: row.Line, given: model.User{CompanyType: int32(company)}}
	if entry.mobile, err = i.admin.Numbers.Parse(row.Mobile); err != nil {
		return entry, "mobile: not a mobile number that this deployment accepts"
	}
	if first, again := i.seen(entry); again {
		return entry, fmt.Sprintf("mobile: the same number as line %d", first)
	}
	for _, member := range []struct {
		name, text string
		check      func(string) string
	}{
		{"nickName", row.NickName, model.CheckNickName}, {"realName", row.RealName, model.CheckRealName}, {"avatarUrl", row.AvatarURL, CheckAvatarURL},
		{"source", row.Source, CheckSource}, {"externalId", row.ExternalID, CheckExternalID},
	} {
		if member.text == "" {
			continue
		}
		if !utf8.ValidString(member.text) {
			return entry, member.name + ": not UTF-8"
		}
		if wrong := member.check(member.text); wrong != "" {
			return entry, member.name + ": " + importReasons[wrong]
		}
	}
	return entry.fill(row, model.TimeOf(i.admin.Now()))
}

// importReasons are the reasons of a model.FieldProblem for people.
var importReasons = map[string]string{
	model.ReasonLength:  "too long",
	model.ReasonCharset: "has a character that is not allowed",
	model.ReasonFormat:  "not of the required form",
	model.ReasonType:    "not a JSON object",
}

// seen reports whether the number of the entry was in an earlier line, and in which.
func (i *Import) seen(entry importEntry) (first uint32, again bool) {
	company := entry.given.CompanyType
	number, _ := strconv.ParseUint(entry.mobile.E164()[1:], 10, 64) // E.164 is a plus and 15 digits at most
	if i.lines[company] == nil {
		i.lines[company] = map[uint64]uint32{}
	}
	if first, again = i.lines[company][number]; !again {
		i.lines[company][number] = uint32(entry.line) //nolint:gosec // a file has less than 2^32 lines
	}
	return first, again
}

// fill sets the members that have been checked, and reads the other two.
func (e importEntry) fill(row ImportRow, now model.Time) (entry importEntry, problem string) {
	e.given.NickName, e.given.RealName, e.given.AvatarURL = row.NickName, row.RealName, row.AvatarURL
	e.given.FirstSource, e.given.LastSource = row.Source, row.Source
	if row.ExternalID != "" {
		e.given.ExternalID = &row.ExternalID
	}
	if row.Metadata != "" {
		if e.given.Metadata, problem = compactMetadata([]byte(row.Metadata)); problem != "" {
			return e, "metadata: " + importReasons[problem]
		}
	}
	if row.CreatedAt != "" {
		at, err := time.Parse(time.RFC3339, row.CreatedAt)
		if e.given.CreatedAt = model.TimeOf(at); err != nil || e.given.CreatedAt <= 0 || e.given.CreatedAt > now {
			return e, "createdAt: not a time of the past such as 2019-08-24T14:15:22Z"
		}
	}
	return e, ""
}

// newAccount is the account of an entry whose number has none.
func (i *Import) newAccount(entry importEntry, now model.Time) model.User {
	user := newUser(i.admin.Vault, entry.given.CompanyType, entry.mobile, now)
	user.FirstSource, user.LastSource = entry.given.FirstSource, entry.given.LastSource
	if entry.given.CreatedAt != 0 {
		user.CreatedAt = entry.given.CreatedAt
	}
	complete(&user, entry.given)
	if entry.given.NickName != "" {
		user.NickName = entry.given.NickName
	}
	return user
}

// complete sets members of user that have no value, and reports whether it set one.
func complete(user *model.User, given model.User) (changed bool) {
	for member, value := range map[*string]string{&user.NickName: given.NickName, &user.RealName: given.RealName, &user.AvatarURL: given.AvatarURL} {
		if *member == "" && value != "" {
			*member, changed = value, true
		}
	}
	if user.ExternalID == nil && given.ExternalID != nil {
		user.ExternalID, changed = given.ExternalID, true
	}
	if user.Metadata == nil && given.Metadata != nil {
		user.Metadata, changed = given.Metadata, true
	}
	return changed
}

// externalKey identifies an external id over all companies.
func externalKey(user model.User) string {
	return strconv.Itoa(int(user.CompanyType)) + " " + *user.ExternalID
}
