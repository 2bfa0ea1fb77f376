-- +goose Up
CREATE TABLE slots (
  user_id       BIGINT        NOT NULL,
  product_group VARBINARY(32) NOT NULL,
  epoch         BIGINT        NOT NULL,
  login_at      BIGINT        NOT NULL,
  session_id    VARBINARY(32) NOT NULL,
  PRIMARY KEY (user_id, product_group)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE slots;
