-- +goose Up
-- attempts stays the count of attempts without a ticket: an older program on this schema
-- knows no other. It leaves ticket_hash NULL, so that no ticket is good.
ALTER TABLE codes
  ADD COLUMN send_pool       TINYINT    NOT NULL DEFAULT 0,
  ADD COLUMN ticket_hash     BINARY(32) NULL,
  ADD COLUMN ticket_attempts INT        NOT NULL DEFAULT 0,
  ADD COLUMN spared          INT        NOT NULL DEFAULT 0,
  ADD COLUMN forgiven        BOOLEAN    NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE codes
  DROP COLUMN forgiven,
  DROP COLUMN spared,
  DROP COLUMN ticket_attempts,
  DROP COLUMN ticket_hash,
  DROP COLUMN send_pool;
