-- What is deployed, what leaves the house, who may come in, and what could not be read.

-- ------------------------------------------------------------------ what is deployed

CREATE TABLE catalogs (
    id      BIGINT NOT NULL PRIMARY KEY,
    hash    TEXT COLLATE "C" NOT NULL UNIQUE,
    catalog BYTEA   NOT NULL,
    made_at BIGINT NOT NULL
);

CREATE TABLE programs (
    id      BIGINT NOT NULL PRIMARY KEY,
    journey BIGINT NOT NULL,
    hash    TEXT COLLATE "C" NOT NULL UNIQUE,
    program BYTEA   NOT NULL,
    made_at BIGINT NOT NULL
);

-- The version that takes people in; none for a retired journey.
CREATE TABLE journeys (
    journey     BIGINT NOT NULL PRIMARY KEY,
    program     BIGINT,
    deployed_at BIGINT NOT NULL
);

-- One row a deploy; the newest holds.
CREATE TABLE deployments (
    generation  BIGINT NOT NULL PRIMARY KEY,
    catalog     BIGINT NOT NULL,
    templates   TEXT    NOT NULL,
    deployed_at BIGINT NOT NULL
);

-- The texts of templates, once for each content; `deployments.templates` lists which file is which.
CREATE TABLE texts (
    hash    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    text    TEXT   NOT NULL,
    made_at BIGINT NOT NULL
);

-- ------------------------------------------------------------------ what leaves the house

-- Messages (kind 0) and requests to endpoints (kind 1; `template` is the endpoint). `due_at` is on the journey clock and counts
-- while the state is `queued`; `again_at` is on the machine's clock: the next try of a deferred one, the end of a lease.
CREATE TABLE deliveries (
    bucket         BIGINT NOT NULL,
    id             BIGINT NOT NULL,
    contact        BIGINT NOT NULL,
    enrollment     BIGINT NOT NULL,
    journey        BIGINT NOT NULL,
    step           BIGINT NOT NULL,
    round          BIGINT NOT NULL,
    arm            BIGINT NOT NULL,
    kind           BIGINT NOT NULL,
    channel        BIGINT NOT NULL,
    template       BIGINT NOT NULL,
    purpose        BIGINT NOT NULL,
    transactional  BIGINT NOT NULL,
    wants_outcome  BIGINT NOT NULL,
    given          TEXT   NOT NULL,
    address        TEXT,
    before_at      BIGINT,
    due_at         BIGINT NOT NULL,
    state          TEXT   NOT NULL,
    again_at       BIGINT,
    owner          BIGINT NOT NULL,
    epoch          BIGINT NOT NULL,
    attempts       BIGINT NOT NULL,
    first_tried_at BIGINT,
    doubtful       BIGINT NOT NULL,
    result         TEXT,
    settled_at     BIGINT,
    clicked_at     BIGINT,
    -- From the first try to the result: what the contact was like, the deploy whose templates write it, and the hash of what may have
    -- arrived.
    frozen         TEXT,
    generation     BIGINT,
    hash           TEXT,
    PRIMARY KEY (bucket, id)
);

-- Unfinished ones alone, so that what was sent long ago costs nothing.
CREATE INDEX deliveries_queued ON deliveries (bucket, transactional, due_at) WHERE state = 'queued';
CREATE INDEX deliveries_again ON deliveries (bucket, again_at) WHERE again_at IS NOT NULL;
CREATE INDEX deliveries_of_contact ON deliveries (bucket, contact);

-- Settled deliveries by what became of them; the unfinished ones are counted where they are.
CREATE TABLE delivery_counts (
    bucket   BIGINT NOT NULL,
    journey  BIGINT NOT NULL,
    channel  BIGINT NOT NULL,
    template BIGINT NOT NULL,
    state    TEXT COLLATE "C" NOT NULL,
    count    BIGINT NOT NULL,
    PRIMARY KEY (bucket, journey, channel, template, state)
);

CREATE TABLE tasks (
    bucket     BIGINT NOT NULL,
    id         BIGINT NOT NULL,
    contact    BIGINT NOT NULL,
    enrollment BIGINT NOT NULL,
    journey    BIGINT NOT NULL,
    step       BIGINT NOT NULL,
    round      BIGINT NOT NULL,
    verb       BIGINT NOT NULL,
    task       BIGINT NOT NULL,
    team       BIGINT NOT NULL,
    given      TEXT   NOT NULL,
    due_at     BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    state      TEXT   NOT NULL,
    outcome    TEXT,
    answers    TEXT,
    settled_at BIGINT,
    PRIMARY KEY (bucket, id)
);

CREATE INDEX tasks_open ON tasks (bucket, team, due_at) WHERE state = 'open';
CREATE INDEX tasks_of_contact ON tasks (bucket, contact);

-- ------------------------------------------------------------------ doors

-- The prefix is shown and finds the row; of the key itself only the hash is kept.
CREATE TABLE keys (
    prefix     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash       BYTEA  NOT NULL,
    name       TEXT   NOT NULL,
    scopes     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    used_at    BIGINT,
    revoked_at BIGINT
);

-- Items that could not be read, so that they can be mended and tried again.
CREATE TABLE rejected_events (
    id          BIGINT NOT NULL PRIMARY KEY,
    rejected_at BIGINT NOT NULL,
    source      TEXT   NOT NULL,
    code        TEXT   NOT NULL,
    reason      TEXT   NOT NULL,
    body        TEXT   NOT NULL
);
