-- +goose Up
-- NULL: of no company, or of a program that did not write it. Operators of single companies
-- read by the index.
ALTER TABLE events ADD COLUMN company_type INT NULL, ADD INDEX events_company (company_type, id);

-- +goose Down
ALTER TABLE events DROP INDEX events_company, DROP COLUMN company_type;
