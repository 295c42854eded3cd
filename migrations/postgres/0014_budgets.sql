-- Budgets of journeys. Amounts are in ten-thousandths of the project's money.

-- One row a journey and window (`since` is its beginning, 0 for the life of the journey): how much of it the buckets have taken so far.
CREATE TABLE budgets (
    journey TEXT   NOT NULL,
    since   BIGINT NOT NULL,
    taken   BIGINT NOT NULL,
    PRIMARY KEY (journey, since)
);

-- The share of a bucket: what it may still spend, and what it has spent. `most` is the budget under which it was taken.
CREATE TABLE budget_shares (
    bucket  BIGINT NOT NULL,
    journey TEXT   NOT NULL,
    since   BIGINT NOT NULL,
    most    BIGINT NOT NULL,
    free    BIGINT NOT NULL,
    spent   BIGINT NOT NULL,
    PRIMARY KEY (bucket, journey, since)
);
