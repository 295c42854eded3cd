-- When a journey began to take people in: an id that was made then. Contacts and inputs with smaller ones were there before. None for
-- journeys of before this column: of them nobody can tell any more.
ALTER TABLE journeys ADD COLUMN opened BIGINT;
