-- +goose Up
-- NULL: of no company, or of a program that did not write it. Operators of single companies
-- read by the index.
ALTER TABLE events ADD COLUMN company_type INTEGER;
CREATE INDEX events_company ON events (company_type, id);

-- +goose Down
DROP INDEX events_company;
ALTER TABLE events DROP COLUMN company_type;
