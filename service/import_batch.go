package service

import (
	"context"
	"slices"

	"menshen/model"
)

// importBatch is one transaction of an import.
type importBatch struct {
	*Import
	entries []importEntry
	bad     []BadLine

	created, updated, freed []model.User
}

// reset forgets a try, so that the next one can begin. The lines that could not be parsed
// stay.
func (b *importBatch) reset(unparsed []BadLine) {
	b.bad, b.created, b.updated, b.freed = slices.Clone(unparsed), nil, nil, nil
}

// run judges the entries and, unless the import is a dry run, writes the accounts.
func (b *importBatch) run(ctx context.Context) error {
	for _, company := range b.admin.Catalog.Companies {
		if err := b.judge(ctx, company.Type); err != nil {
			return err
		}
	}
	slices.SortFunc(b.bad, func(a, b BadLine) int { return a.Line - b.Line })
	if b.dryRun {
		return nil
	}
	return b.write(ctx)
}

// judge decides what becomes of the entries of a company.
func (b *importBatch) judge(ctx context.Context, company int32) error {
	var entries []importEntry
	var keys [][]byte
	var ids []string
	for _, entry := range b.entries {
		if entry.given.CompanyType != company {
			continue
		}
		entry.given.MobileKey = b.admin.Vault.MobileKey(company, entry.mobile)
		entries, keys = append(entries, entry), append(keys, entry.given.MobileKey)
		if entry.given.ExternalID != nil {
			ids = append(ids, *entry.given.ExternalID)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	known, err := b.known(ctx, company, keys)
	if err != nil {
		return err
	}
	taken, err := b.taken(ctx, company, ids)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		user, found := known[string(entry.given.MobileKey)]
		b.decide(entry, user, found, taken)
	}
	return nil
}

// known returns the accounts of numbers by their keys.
func (b *importBatch) known(ctx context.Context, company int32, keys [][]byte) (map[string]model.User, error) {
	users, err := b.admin.Users.LockNumbers(ctx, company, keys)
	known := make(map[string]model.User, len(users))
	for _, user := range users {
		known[string(user.MobileKey)] = user
	}
	return known, err
}

// taken returns the external ids among ids that accounts have.
func (b *importBatch) taken(ctx context.Context, company int32, ids []string) (map[string]bool, error) {
	taken := map[string]bool{}
	if len(ids) == 0 {
		return taken, nil
	}
	users, err := b.admin.Users.ByExternalIDs(ctx, company, ids...)
	for _, user := range users {
		taken[*user.ExternalID] = true
	}
	for _, id := range ids {
		if b.ids[externalKey(model.User{CompanyType: company, ExternalID: &id})] {
			taken[id] = true
		}
	}
	return taken, err
}

func (b *importBatch) decide(entry importEntry, user model.User, found bool, taken map[string]bool) {
	now := model.TimeOf(b.admin.Now())
	refuse := func(reason string) { b.bad = append(b.bad, BadLine{entry.line, reason}) }
	if found && user.DeletedAt != 0 {
		if user.Banned(now) {
			refuse("mobile: its account is banned and deleted")
			return
		}
		b.freed, found = append(b.freed, user), false
	}
	if id := entry.given.ExternalID; id != nil && user.ExternalID == nil {
		if taken[*id] {
			refuse("externalId: another account has it")
			return
		}
		taken[*id] = true
	}
	if !found {
		b.created = append(b.created, b.newAccount(entry, now))
		return
	}
	if complete(&user, entry.given) {
		b.updated = append(b.updated, user)
	}
}

// write stores what was decided, with an event for each account.
func (b *importBatch) write(ctx context.Context) error {
	for _, user := range b.freed {
		if err := b.admin.Users.Free(ctx, user.ID); err != nil {
			return err
		}
	}
	if err := b.admin.Users.Insert(ctx, b.created...); err != nil {
		return err
	}
	for _, user := range b.updated {
		if err := b.admin.Users.Describe(ctx, user); err != nil {
			return err
		}
	}
	var lines []model.Event
	now := model.TimeOf(b.admin.Now())
	for _, user := range b.created {
		line := b.by.event(model.EventUserCreated, user, now, "")
		line.Detail = model.EventDetail("source", user.FirstSource)
		lines = append(lines, line)
	}
	for _, user := range b.updated {
		lines = append(lines, b.by.event(model.EventUserChanged, user, now, ""))
	}
	if len(lines) == 0 {
		return nil
	}
	return b.admin.Endings.Events.Append(ctx, lines...)
}
