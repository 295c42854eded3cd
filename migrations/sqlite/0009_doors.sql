-- What the doors to other programs remember.

-- ---------------------------------------------------------------- events in

-- What trying a rejected item again needs and its body does not say: what it was taken for (empty: it says so itself; NULL: it cannot be
-- tried again), when it was sent, and which attribute did not fit where the rest was stored. One that was taken at last says when.
ALTER TABLE rejected_events ADD COLUMN kind TEXT;
ALTER TABLE rejected_events ADD COLUMN sent_at INTEGER;
ALTER TABLE rejected_events ADD COLUMN part TEXT;
ALTER TABLE rejected_events ADD COLUMN retried_at INTEGER;
