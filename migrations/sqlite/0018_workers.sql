-- Who a worker is and what its clock shows; what the last firing took in.

-- The machine and the process, for people.
ALTER TABLE workers ADD COLUMN place TEXT NOT NULL DEFAULT '';
-- By how many milliseconds its clock was ahead of the database's when it renewed its lease.
ALTER TABLE workers ADD COLUMN ahead_ms BIGINT NOT NULL DEFAULT 0;

-- How many the firing before took in, where it is held for taking in so many more; none: the policy holds it.
ALTER TABLE held_firings ADD COLUMN before BIGINT;
