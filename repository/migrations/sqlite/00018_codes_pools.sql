-- +goose Up
-- attempts stays the count of attempts without a ticket: an older program on this schema
-- knows no other. It leaves ticket_hash NULL, so that no ticket is good.
ALTER TABLE codes ADD COLUMN send_pool INTEGER NOT NULL DEFAULT 0;
ALTER TABLE codes ADD COLUMN ticket_hash BLOB;
ALTER TABLE codes ADD COLUMN ticket_attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE codes ADD COLUMN spared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE codes ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE codes DROP COLUMN forgiven;
ALTER TABLE codes DROP COLUMN spared;
ALTER TABLE codes DROP COLUMN ticket_attempts;
ALTER TABLE codes DROP COLUMN ticket_hash;
ALTER TABLE codes DROP COLUMN send_pool;
