-- +goose Up
CREATE TABLE codes (
  id           INTEGER NOT NULL PRIMARY KEY,
  company_type INTEGER NOT NULL,
  purpose      TEXT    NOT NULL,
  number_key   BLOB    NOT NULL,
  seq          INTEGER NOT NULL,
  code_mac     BLOB    NOT NULL,
  ip_key       TEXT    NOT NULL,
  sent_at      INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  attempts     INTEGER NOT NULL DEFAULT 0,
  used_at      INTEGER NOT NULL DEFAULT 0,
  dead_at      INTEGER NOT NULL DEFAULT 0,
  delivery     INTEGER NOT NULL DEFAULT 0,
  UNIQUE (number_key, seq)
) STRICT;
CREATE INDEX codes_ip ON codes (ip_key, sent_at);
CREATE INDEX codes_sent ON codes (sent_at);

-- +goose Down
DROP TABLE codes;
