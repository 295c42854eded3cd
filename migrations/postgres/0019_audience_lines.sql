-- Lines of a batch of an audience are read in the order of their bytes, a page at a time; the key has them in the order of the database's language.
CREATE INDEX audience_lines_in_order ON audience_lines (bucket, batch, added, line COLLATE "C");
