-- Audiences: who is in one, what the networks were told, and the batches in which they are told.

-- A place for each enrollment that put its contact there: whoever has at least one is a member.
CREATE TABLE audience_members (
    bucket     BIGINT NOT NULL,
    audience   BIGINT NOT NULL,
    contact    BIGINT NOT NULL,
    enrollment BIGINT NOT NULL,
    since      BIGINT NOT NULL,
    PRIMARY KEY (bucket, audience, contact, enrollment)
);
CREATE INDEX audience_members_of_contact ON audience_members (bucket, contact);

-- What the network has of whom: lines of a file, with hashes alone.
CREATE TABLE audience_told (
    bucket   BIGINT NOT NULL,
    audience BIGINT NOT NULL,
    contact  BIGINT NOT NULL,
    line     TEXT   NOT NULL,
    PRIMARY KEY (bucket, audience, contact, line)
);
CREATE INDEX audience_told_of_contact ON audience_told (bucket, contact);

-- A batch fills until it is closed, and is the same from then on; it is recorded when its folder is there. Who works on it holds it.
CREATE TABLE audience_batches (
    id          BIGINT  NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    audience    TEXT    NOT NULL,
    cut_at      BIGINT  NOT NULL,
    closed_at   BIGINT,
    recorded_at BIGINT,
    added       BIGINT  NOT NULL,
    removed     BIGINT  NOT NULL,
    owner       BIGINT  NOT NULL,
    held_until  BIGINT  NOT NULL
);
CREATE INDEX audience_batches_unfinished ON audience_batches (audience) WHERE recorded_at IS NULL;

-- What a batch tells, for as long as its folder can be made again.
CREATE TABLE audience_lines (
    bucket BIGINT NOT NULL,
    batch  BIGINT NOT NULL,
    added  BIGINT NOT NULL,
    line   TEXT   NOT NULL,
    PRIMARY KEY (bucket, batch, added, line)
);
