-- Message ids of the last week or two, many in a row, each a hash of 16 bytes; rows in `seen` are of older programs, and an
-- older one that still runs does not look here. What each transaction accepted, in the order in which it did; a number is never used twice.
CREATE TABLE seen_log (
    id     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    week   BIGINT  NOT NULL,
    hashes BLOB    NOT NULL
);

-- The log of before, in the order of the hashes; a run has the number of the last row that went into it.
CREATE TABLE seen_runs (
    run    BIGINT NOT NULL,
    part   BIGINT NOT NULL,
    week   BIGINT NOT NULL,
    hashes BLOB   NOT NULL,
    PRIMARY KEY (run, part)
) WITHOUT ROWID;
