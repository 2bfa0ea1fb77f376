-- +goose Up
CREATE TABLE slots (
  user_id       INTEGER NOT NULL,
  product_group TEXT    NOT NULL,
  epoch         INTEGER NOT NULL,
  login_at      INTEGER NOT NULL,
  session_id    TEXT    NOT NULL,
  PRIMARY KEY (user_id, product_group)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE slots;
