-- What people said that fits no message, and the names of mails that were taken, so that none counts twice.

-- `sender` is an address or a number as identities have it. State 'strange': nobody is reached there; 'apart': somebody is, and it fits
-- no message to them; 'taken': it was taken, and nothing is kept but its name, with no sender.
CREATE TABLE replies (
    sender   TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    id       BIGINT NOT NULL,
    came_at  BIGINT NOT NULL,
    state    TEXT   NOT NULL,
    why      TEXT,
    channels TEXT,
    delivery BIGINT,
    subject  TEXT,
    body     TEXT,
    PRIMARY KEY (sender, name)
);

CREATE INDEX replies_apart ON replies (id) WHERE state <> 'taken';
CREATE INDEX replies_came ON replies (came_at);
