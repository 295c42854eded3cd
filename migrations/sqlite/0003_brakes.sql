-- What slows sending down, and stops it: pauses, rates, firings that reach too many, and messages of which nobody knows.

-- What is paused: `all`, or a `channel`, a `journey`, a `step` (`journey.step`) of that name.
CREATE TABLE brakes (
    kind   TEXT   NOT NULL,
    name   TEXT   NOT NULL,
    since  BIGINT NOT NULL,
    author TEXT   NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

-- Until when the sends of a rule are given away, in microseconds by the database's clock.
CREATE TABLE rates (
    rule    TEXT   NOT NULL PRIMARY KEY,
    next_at BIGINT NOT NULL
) WITHOUT ROWID;

-- Firings that would take in more people than the policy allows; `input` is what each contact would be told.
CREATE TABLE held_firings (
    key     TEXT   NOT NULL PRIMARY KEY,
    journey TEXT   NOT NULL,
    input   TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    count   BIGINT NOT NULL,
    most    BIGINT NOT NULL,
    held_at BIGINT NOT NULL
);

-- Its enrollment was cut off while it was on its way: it is not tried again.
ALTER TABLE deliveries ADD COLUMN cut_off BIGINT NOT NULL DEFAULT 0;
-- So many of its doubts somebody has looked at and decided about.
ALTER TABLE deliveries ADD COLUMN doubts_seen BIGINT NOT NULL DEFAULT 0;

-- What is listed for people to decide about. An unknown outcome is not settled: it waits for them.
UPDATE deliveries SET settled_at = NULL WHERE state = 'unknown';
DELETE FROM delivery_counts WHERE state = 'unknown';
CREATE INDEX deliveries_unknown ON deliveries (bucket, id) WHERE state = 'unknown';
CREATE INDEX deliveries_refused ON deliveries (bucket, id) WHERE state = 'refused';
