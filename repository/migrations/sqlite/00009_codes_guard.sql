-- +goose Up
ALTER TABLE codes ADD COLUMN prefix_key TEXT NOT NULL DEFAULT '';
ALTER TABLE codes ADD COLUMN block_key TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE codes DROP COLUMN block_key;
ALTER TABLE codes DROP COLUMN prefix_key;
