-- +goose Up
-- The account's id in the company's own system. VARBINARY compares byte for byte.
ALTER TABLE users ADD COLUMN external_id VARBINARY(256) NULL;

-- +goose Down
ALTER TABLE users DROP COLUMN external_id;
