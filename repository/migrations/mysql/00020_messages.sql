-- +goose Up
-- One row for each attempt to have a message sent by a vendor.
CREATE TABLE messages (
  id           BIGINT        NOT NULL AUTO_INCREMENT PRIMARY KEY,
  at           BIGINT        NOT NULL,
  code_id      BIGINT        NOT NULL,
  number_key   BINARY(32)    NULL,
  mobile_key   BINARY(32)    NULL,
  mobile       VARCHAR(24)   NOT NULL,
  user_id      BIGINT        NOT NULL,
  company_type INT           NOT NULL,
  product_type INT           NOT NULL,
  purpose      VARBINARY(16) NOT NULL,
  region       VARBINARY(8)  NOT NULL,
  provider     VARBINARY(16) NOT NULL,
  message_id   VARBINARY(64) NOT NULL,
  state        VARBINARY(16) NOT NULL,
  reason       VARCHAR(64)   NOT NULL,
  reported_at  BIGINT        NOT NULL DEFAULT 0,
  redeemed_at  BIGINT        NOT NULL DEFAULT 0,
  known        BOOLEAN       NOT NULL DEFAULT 0,
  cost         BIGINT        NOT NULL DEFAULT 0,
  KEY messages_number (number_key, id),
  KEY messages_user (user_id, id),
  KEY messages_vendor (message_id),
  KEY messages_code (code_id),
  KEY messages_at (at),
  KEY messages_state (state, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE messages;
