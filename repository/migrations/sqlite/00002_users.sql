-- +goose Up
CREATE TABLE users (
  id           INTEGER NOT NULL PRIMARY KEY,
  company_type INTEGER NOT NULL,
  mobile_key   BLOB,
  mobile       BLOB,
  user_name    TEXT    NOT NULL,
  nick_name    TEXT    NOT NULL,
  real_name    TEXT    NOT NULL,
  avatar_url   TEXT    NOT NULL,
  first_source TEXT    NOT NULL,
  last_source  TEXT    NOT NULL,
  banned_until INTEGER NOT NULL DEFAULT 0,
  ban_reason   TEXT    NOT NULL DEFAULT '',
  created_at   INTEGER NOT NULL,
  deleted_at   INTEGER NOT NULL DEFAULT 0,
  UNIQUE (company_type, mobile_key)
) STRICT;

-- +goose Down
DROP TABLE users;
