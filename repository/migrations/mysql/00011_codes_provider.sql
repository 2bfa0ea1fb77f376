-- +goose Up
ALTER TABLE codes ADD COLUMN provider VARBINARY(16) NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE codes DROP COLUMN provider;
