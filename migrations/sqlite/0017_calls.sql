-- Audiences that are told by calls: to whom a batch goes, how many calls of it were taken, and what keeps the next one.
ALTER TABLE audience_batches ADD COLUMN sends    TEXT   NOT NULL DEFAULT 'file';
ALTER TABLE audience_batches ADD COLUMN told     BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audience_batches ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audience_batches ADD COLUMN again_at BIGINT;
ALTER TABLE audience_batches ADD COLUMN trouble  TEXT;
