-- Letters: what waits for its batch, the batches, and the codes by which people answer.

-- The batch of a letter; 0: it waits for one (state 'waiting'). A letter in a batch that is not finished is 'batched'. Nothing else has
-- one. `addressee` is the contact that it was written to, whoever that is by now.
ALTER TABLE deliveries ADD COLUMN batch BIGINT;
ALTER TABLE deliveries ADD COLUMN addressee BIGINT;
CREATE INDEX deliveries_letters ON deliveries (bucket, due_at) WHERE batch IS NOT NULL AND settled_at IS NULL;
CREATE INDEX deliveries_batch ON deliveries (bucket, batch, id) WHERE batch > 0;

-- A batch fills until it is closed, and is the same from then on; it is recorded when its folder is there. `cut_at` is on the journey
-- clock, all else on the machine's. Who works on it holds it.
CREATE TABLE letter_batches (
    id          INTEGER NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    channel     TEXT    NOT NULL,
    cut_at      BIGINT  NOT NULL,
    closed_at   BIGINT,
    recorded_at BIGINT,
    thawed_at   BIGINT,
    letters     BIGINT  NOT NULL,
    owner       BIGINT  NOT NULL,
    held_until  BIGINT  NOT NULL
);
CREATE INDEX letter_batches_unfinished ON letter_batches (channel) WHERE recorded_at IS NULL;

CREATE TABLE response_codes (
    code       TEXT   NOT NULL PRIMARY KEY,
    delivery   BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
) WITHOUT ROWID;
CREATE INDEX response_codes_expire ON response_codes (expires_at);
