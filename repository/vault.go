package repository

import (
	"context"

	"menshen/model"
)

// Vault keeps the few sealed values of the deployment.
type Vault struct{ DB *DB }

// Keep stores value under name unless something is there already, and returns
// what is there: of several first starts exactly one value stays.
func (v Vault) Keep(ctx context.Context, name string, value []byte) ([]byte, error) {
	if _, err := v.DB.exec(ctx, "keep "+name, v.DB.words.keepVault, name, value); err != nil {
		return nil, err
	}
	return v.Value(ctx, name)
}

// Value reads what is kept under name; nothing is model.ErrNotFound.
func (v Vault) Value(ctx context.Context, name string) ([]byte, error) {
	var kept struct{ Value []byte }
	err := take(v.DB.reader(ctx).Table("vault").Where("name = ?", name), "read "+name, &kept)
	return kept.Value, err
}

// Replace exchanges old for value; model.ErrNotFound when another was faster.
func (v Vault) Replace(ctx context.Context, name string, old, value []byte) error {
	return v.DB.one(ctx, "replace "+name, model.ErrNotFound,
		"UPDATE vault SET value = ? WHERE name = ? AND value = ?", value, name, old)
}
