-- +goose Up
-- The lists of accounts, newest first. Each index ends in the id, as InnoDB makes them.
ALTER TABLE users ADD INDEX users_created (created_at), ADD INDEX users_company (company_type, created_at),
  ADD INDEX users_source (first_source, created_at), ADD INDEX users_company_source (company_type, first_source, created_at),
  ADD INDEX users_banned (ever_banned, created_at);

-- +goose Down
ALTER TABLE users DROP INDEX users_created, DROP INDEX users_company, DROP INDEX users_source, DROP INDEX users_company_source, DROP INDEX users_banned;
