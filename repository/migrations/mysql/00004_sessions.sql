-- +goose Up
CREATE TABLE sessions (
  id            VARBINARY(32)  NOT NULL PRIMARY KEY,
  user_id       BIGINT         NOT NULL,
  company_type  INT            NOT NULL,
  product_type  INT            NOT NULL,
  product_group VARBINARY(32)  NOT NULL,
  epoch         BIGINT         NOT NULL,
  active_slot   INT            NULL,
  device_number VARBINARY(128) NOT NULL,
  device_name   VARCHAR(64)    NOT NULL,
  ip            VARBINARY(45)  NOT NULL,
  source        VARCHAR(64)    NOT NULL,
  login_at      BIGINT         NOT NULL,
  last_seen_at  BIGINT         NOT NULL,
  refresh_hash  BINARY(32)     NOT NULL,
  gen           BIGINT         NOT NULL,
  prev_gen      BIGINT         NOT NULL,
  cur_jti       VARBINARY(32)  NOT NULL,
  cur_iat       BIGINT         NOT NULL,
  cur_exp       BIGINT         NOT NULL,
  max_exp       BIGINT         NOT NULL,
  minted_at     BIGINT         NOT NULL,
  confirmed     TINYINT        NOT NULL,
  idle_until    BIGINT         NOT NULL,
  ends_at       BIGINT         NOT NULL,
  ended_at      BIGINT         NOT NULL DEFAULT 0,
  end_reason    VARBINARY(16)  NOT NULL DEFAULT '',
  ended_by      VARCHAR(64)    NOT NULL DEFAULT '',
  UNIQUE KEY sessions_slot (user_id, product_group, active_slot),
  KEY sessions_ended (ended_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE sessions;
