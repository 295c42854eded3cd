-- Work for people.

-- Who has a task in hand, since when and until when (the machine's clock); a lapsed one may be taken by somebody else.
ALTER TABLE tasks ADD COLUMN taken_by TEXT;
ALTER TABLE tasks ADD COLUMN taken_at BIGINT;
ALTER TABLE tasks ADD COLUMN taken_until BIGINT;
-- How often it was tried, and when it is tried again (the journey's clock).
ALTER TABLE tasks ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN again_at BIGINT;
-- What was noted last.
ALTER TABLE tasks ADD COLUMN note TEXT;

-- Open tasks, those with the least time left first: the queue of a team, and those that nobody did in time.
CREATE INDEX tasks_queue ON tasks (bucket, expires_at, due_at, team) WHERE state = 'open';
CREATE INDEX tasks_taken ON tasks (bucket, taken_by) WHERE state = 'open' AND taken_by IS NOT NULL;
DROP INDEX tasks_open;

-- The teams whose tasks a key may see, with blanks between them; none: all.
ALTER TABLE keys ADD COLUMN teams TEXT NOT NULL DEFAULT '';
