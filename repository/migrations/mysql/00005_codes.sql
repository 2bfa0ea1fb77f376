-- +goose Up
CREATE TABLE codes (
  id           BIGINT        NOT NULL PRIMARY KEY,
  company_type INT           NOT NULL,
  purpose      VARBINARY(16) NOT NULL,
  number_key   BINARY(32)    NOT NULL,
  seq          BIGINT        NOT NULL,
  code_mac     BINARY(32)    NOT NULL,
  ip_key       VARBINARY(48) NOT NULL,
  sent_at      BIGINT        NOT NULL,
  expires_at   BIGINT        NOT NULL,
  attempts     INT           NOT NULL DEFAULT 0,
  used_at      BIGINT        NOT NULL DEFAULT 0,
  dead_at      BIGINT        NOT NULL DEFAULT 0,
  delivery     TINYINT       NOT NULL DEFAULT 0,
  UNIQUE KEY codes_number (number_key, seq),
  KEY codes_ip (ip_key, sent_at),
  KEY codes_sent (sent_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE codes;
