-- +goose Up
-- Receipts of messages that have no row yet. They are kept for some minutes.
CREATE TABLE receipts (
  provider    TEXT    NOT NULL,
  message_id  TEXT    NOT NULL,
  state       TEXT    NOT NULL,
  reason      TEXT    NOT NULL,
  reported_at INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  PRIMARY KEY (provider, message_id, state)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_at ON receipts (at);

-- +goose Down
DROP TABLE receipts;
