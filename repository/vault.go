package repository

import (
	"context"

	"menshen/model"
)

// Vault stores the few sealed values of the deployment.
type Vault struct{ DB *DB }

// Keep stores value under name unless the name has a value, and returns the stored one.
func (v Vault) Keep(ctx context.Context, name string, value []byte) ([]byte, error) {
	if err := v.DB.exec(ctx, "keep "+name, v.DB.dialect.insertVault, name, value); err != nil {
		return nil, err
	}
	return v.Value(ctx, name)
}

// Value returns the value of name.
func (v Vault) Value(ctx context.Context, name string) ([]byte, error) {
	var kept struct{ Value []byte }
	err := takeOne(v.DB.readDB(ctx).Table("vault").Where("name = ?", name), "read "+name, &kept)
	return kept.Value, err
}

// Replace replaces old by value.
func (v Vault) Replace(ctx context.Context, name string, old, value []byte) error {
	return v.DB.execOne(ctx, "replace "+name, model.ErrNotFound,
		"UPDATE vault SET value = ? WHERE name = ? AND value = ?", value, name, old)
}
