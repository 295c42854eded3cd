-- Room beside rows that are written again a few times: what changes of them is in no index, so the next version on the same page costs
-- no entry in one.
ALTER TABLE enrollments SET (fillfactor = 70);
ALTER TABLE listeners SET (fillfactor = 80);
