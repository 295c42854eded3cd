-- The first schema. Times are milliseconds since 1970, ids and names integers; `bucket` leads every key of what belongs to a
-- contact. Tables that are read by ranges of their key have no rowid: neighbours in the key are neighbours on disk.

-- ------------------------------------------------------------------ the project

CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One row a bucket: the lock of whoever advances it.
CREATE TABLE buckets (
    bucket INTEGER NOT NULL PRIMARY KEY
);

CREATE TABLE workers (
    worker       INTEGER NOT NULL PRIMARY KEY,
    leased_until BIGINT  NOT NULL
);

CREATE TABLE names (
    id   INTEGER NOT NULL PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
);

-- What `status` shows: how many rest at a step, entered, left by which exit, reached which goal; and deliveries by state.
CREATE TABLE step_counts (
    bucket  BIGINT NOT NULL,
    program BIGINT NOT NULL,
    kind    BIGINT NOT NULL,
    name    BIGINT NOT NULL,
    count   BIGINT NOT NULL,
    PRIMARY KEY (bucket, program, kind, name)
) WITHOUT ROWID;

-- Work over all contacts of a bucket, done in slices: it begins again where `done_to` says.
CREATE TABLE jobs (
    bucket  BIGINT NOT NULL,
    id      BIGINT NOT NULL,
    key     TEXT   NOT NULL,
    input   TEXT   NOT NULL,
    done_to BIGINT NOT NULL,
    up_to   BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (bucket, id),
    UNIQUE (bucket, key)
) WITHOUT ROWID;

-- ------------------------------------------------------------------ contacts

CREATE TABLE contacts (
    id          INTEGER NOT NULL PRIMARY KEY,
    bucket      BIGINT  NOT NULL,
    created_at  BIGINT  NOT NULL,
    merged_into BIGINT,
    attributes  TEXT    NOT NULL
);

-- `holder` is 0 where only one contact may have the identity, otherwise the contact.
CREATE TABLE identities (
    kind    BIGINT NOT NULL,
    value   TEXT   NOT NULL,
    holder  BIGINT NOT NULL,
    bucket  BIGINT NOT NULL,
    contact BIGINT NOT NULL,
    PRIMARY KEY (kind, value, holder)
) WITHOUT ROWID;

CREATE INDEX identities_of_contact ON identities (bucket, contact);

CREATE TABLE consents (
    id       INTEGER NOT NULL PRIMARY KEY,
    bucket   BIGINT  NOT NULL,
    contact  BIGINT  NOT NULL,
    purpose  BIGINT  NOT NULL,
    channel  BIGINT  NOT NULL,
    permit   BIGINT  NOT NULL,
    at       BIGINT  NOT NULL,
    source   TEXT    NOT NULL,
    evidence TEXT
);

CREATE INDEX consents_of_contact ON consents (bucket, contact);

CREATE TABLE consent_states (
    bucket  BIGINT NOT NULL,
    contact BIGINT NOT NULL,
    purpose BIGINT NOT NULL,
    channel BIGINT NOT NULL,
    permit  BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (bucket, contact, purpose, channel)
) WITHOUT ROWID;

-- An address not to use; `purpose` is 0 where it stands for every one.
CREATE TABLE suppressions (
    address TEXT   NOT NULL,
    channel BIGINT NOT NULL,
    purpose BIGINT NOT NULL,
    reason  TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (address, channel, purpose)
) WITHOUT ROWID;

CREATE TABLE contact_pauses (
    bucket  BIGINT NOT NULL,
    contact BIGINT NOT NULL,
    purpose BIGINT NOT NULL,
    until   BIGINT NOT NULL,
    PRIMARY KEY (bucket, contact, purpose)
) WITHOUT ROWID;

CREATE TABLE cap_slots (
    bucket   BIGINT NOT NULL,
    contact  BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    delivery BIGINT NOT NULL,
    channel  BIGINT NOT NULL,
    purpose  BIGINT NOT NULL,
    PRIMARY KEY (bucket, contact, at, delivery)
) WITHOUT ROWID;

-- ------------------------------------------------------------------ events

-- Accepted and not yet taken.
CREATE TABLE inbox (
    bucket      BIGINT NOT NULL,
    id          BIGINT NOT NULL,
    contact     BIGINT NOT NULL,
    accepted_at BIGINT NOT NULL,
    input       TEXT   NOT NULL,
    PRIMARY KEY (bucket, id)
) WITHOUT ROWID;

CREATE TABLE events (
    bucket      BIGINT NOT NULL,
    contact     BIGINT NOT NULL,
    name        BIGINT NOT NULL,
    occurred_at BIGINT NOT NULL,
    id          BIGINT NOT NULL,
    accepted_at BIGINT NOT NULL,
    dedupe      TEXT,
    fields      TEXT   NOT NULL,
    PRIMARY KEY (bucket, contact, name, occurred_at, id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX events_once ON events (bucket, contact, name, dedupe) WHERE dedupe IS NOT NULL;

-- Events that a contact had and that are no longer kept: `on first` must not forget them.
CREATE TABLE firsts (
    bucket  BIGINT NOT NULL,
    contact BIGINT NOT NULL,
    name    BIGINT NOT NULL,
    PRIMARY KEY (bucket, contact, name)
) WITHOUT ROWID;

-- Message ids of the last week or two; `week` makes forgetting a range. The bucket is that of the hash, not of a contact.
CREATE TABLE seen (
    bucket BIGINT NOT NULL,
    week   BIGINT NOT NULL,
    hash   BLOB   NOT NULL,
    PRIMARY KEY (bucket, week, hash)
) WITHOUT ROWID;

-- ------------------------------------------------------------------ enrollments

-- Written at entry and end. `wake_at` is the other half of the timer's key, and true only where `tracked` is 1.
CREATE TABLE enrollments (
    bucket     BIGINT NOT NULL,
    contact    BIGINT NOT NULL,
    id         BIGINT NOT NULL,
    journey    BIGINT NOT NULL,
    program    BIGINT NOT NULL,
    key        TEXT   NOT NULL,
    entered_at BIGINT NOT NULL,
    tracked    BIGINT NOT NULL,
    wake_at    BIGINT NOT NULL,
    ended_at   BIGINT,
    reason     BIGINT,
    PRIMARY KEY (bucket, contact, id)
) WITHOUT ROWID;

-- Everything that has a next time, in the order of waking: the hot table. Enrollments (kind 0) live here with their state,
-- standing entries (1) and errands (2) are called from here.
CREATE TABLE timers (
    bucket  BIGINT NOT NULL,
    wake_at BIGINT NOT NULL,
    id      BIGINT NOT NULL,
    contact BIGINT NOT NULL,
    kind    BIGINT NOT NULL,
    program BIGINT NOT NULL,
    state   BLOB   NOT NULL,
    PRIMARY KEY (bucket, wake_at, id)
) WITHOUT ROWID;

-- Who wants to hear of a signal. Kind 0: an interest for the whole life of an enrollment, written once. Kind 1: its present wait,
-- with the other half of the timer's key.
CREATE TABLE listeners (
    bucket  BIGINT NOT NULL,
    contact BIGINT NOT NULL,
    name    BIGINT NOT NULL,
    id      BIGINT NOT NULL,
    kind    BIGINT NOT NULL,
    wake_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, contact, name, id, kind)
) WITHOUT ROWID;

-- Entries that watch a contact: `when`, `while`, anniversaries, offsets of a date; memberships are theirs.
CREATE TABLE memberships (
    bucket  BIGINT NOT NULL,
    contact BIGINT NOT NULL,
    journey BIGINT NOT NULL,
    entry   BIGINT NOT NULL,
    id      BIGINT NOT NULL,
    member  BIGINT NOT NULL,
    wake_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, contact, journey, entry)
) WITHOUT ROWID;

-- Small things to do later for a contact, apart from any enrollment; each has a timer.
CREATE TABLE errands (
    bucket  BIGINT NOT NULL,
    contact BIGINT NOT NULL,
    id      BIGINT NOT NULL,
    wake_at BIGINT NOT NULL,
    errand  TEXT   NOT NULL,
    PRIMARY KEY (bucket, contact, id)
) WITHOUT ROWID;

-- ------------------------------------------------------------------ what happened

-- Decisions, with reasons; one row holds what one transaction decided for a contact.
CREATE TABLE history (
    id      INTEGER NOT NULL PRIMARY KEY,
    bucket  BIGINT  NOT NULL,
    contact BIGINT  NOT NULL,
    at      BIGINT  NOT NULL,
    notes   TEXT    NOT NULL
);

CREATE INDEX history_of_contact ON history (bucket, contact);
