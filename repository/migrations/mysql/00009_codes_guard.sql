-- +goose Up
ALTER TABLE codes
  ADD COLUMN prefix_key VARBINARY(32) NOT NULL DEFAULT '',
  ADD COLUMN block_key  VARBINARY(48) NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE codes
  DROP COLUMN block_key,
  DROP COLUMN prefix_key;
