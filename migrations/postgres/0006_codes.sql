-- Pools of codes. They are found by the pool's name, so neither table has a bucket.

-- One row a pool: the lock of whoever takes from it.
CREATE TABLE pools (
    pool TEXT NOT NULL PRIMARY KEY
);

-- A code belongs to the contact that took it; `hash` is that of its fields.
CREATE TABLE codes (
    pool       TEXT   NOT NULL,
    id         BIGINT NOT NULL,
    hash       TEXT   NOT NULL,
    fields     TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    contact    BIGINT,
    enrollment BIGINT,
    taken_at   BIGINT,
    PRIMARY KEY (pool, id)
);

CREATE UNIQUE INDEX codes_once ON codes (pool, hash);
CREATE INDEX codes_free ON codes (pool, expires_at, id) WHERE contact IS NULL;
CREATE INDEX codes_of_contact ON codes (contact) WHERE contact IS NOT NULL;
