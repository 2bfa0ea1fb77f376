-- +goose Up
-- The account's id in the company's own system.
ALTER TABLE users ADD COLUMN external_id TEXT;

-- +goose Down
ALTER TABLE users DROP COLUMN external_id;
