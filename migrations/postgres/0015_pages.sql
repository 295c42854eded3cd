-- What the pages for people show.

-- Every attempt at a task, as it was told: a line of JSON each. `note` is the newest note alone.
ALTER TABLE tasks ADD COLUMN told TEXT;

-- The codes of a letter, for who looks at the person that it went to.
CREATE INDEX response_codes_of_delivery ON response_codes (delivery);
