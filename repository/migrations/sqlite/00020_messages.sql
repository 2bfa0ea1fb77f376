-- +goose Up
-- One row for each attempt to have a message sent by a vendor.
CREATE TABLE messages (
  id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  at           INTEGER NOT NULL,
  code_id      INTEGER NOT NULL,
  number_key   BLOB    NULL,
  mobile_key   BLOB    NULL,
  mobile       TEXT    NOT NULL,
  user_id      INTEGER NOT NULL,
  company_type INTEGER NOT NULL,
  product_type INTEGER NOT NULL,
  purpose      TEXT    NOT NULL,
  region       TEXT    NOT NULL,
  provider     TEXT    NOT NULL,
  message_id   TEXT    NOT NULL,
  state        TEXT    NOT NULL,
  reason       TEXT    NOT NULL,
  reported_at  INTEGER NOT NULL DEFAULT 0,
  redeemed_at  INTEGER NOT NULL DEFAULT 0,
  known        INTEGER NOT NULL DEFAULT 0,
  cost         INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX messages_number ON messages (number_key, id);
CREATE INDEX messages_user ON messages (user_id, id);
CREATE INDEX messages_vendor ON messages (message_id);
CREATE INDEX messages_code ON messages (code_id);
CREATE INDEX messages_at ON messages (at);
CREATE INDEX messages_state ON messages (state, id);

-- +goose Down
DROP TABLE messages;
