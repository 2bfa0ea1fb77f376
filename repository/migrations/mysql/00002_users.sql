-- +goose Up
CREATE TABLE users (
  id           BIGINT        NOT NULL PRIMARY KEY,
  company_type INT           NOT NULL,
  mobile_key   BINARY(32)    NULL,
  mobile       VARBINARY(128) NULL,
  user_name    VARCHAR(32)   NOT NULL,
  nick_name    VARCHAR(32)   NOT NULL,
  real_name    VARCHAR(64)   NOT NULL,
  avatar_url   VARCHAR(512)  NOT NULL,
  first_source VARCHAR(64)   NOT NULL,
  last_source  VARCHAR(64)   NOT NULL,
  banned_until BIGINT        NOT NULL DEFAULT 0,
  ban_reason   VARCHAR(256)  NOT NULL DEFAULT '',
  created_at   BIGINT        NOT NULL,
  deleted_at   BIGINT        NOT NULL DEFAULT 0,
  UNIQUE KEY users_number (company_type, mobile_key)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE users;
