-- +goose Up
ALTER TABLE codes ADD COLUMN provider TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE codes DROP COLUMN provider;
