-- Answers to surveys.

-- One row a question, whichever way the answer came: `page` (the link in a message), `text` (a reply) or `phone` (a task). The first
-- answer counts. `told_by` is the provider's name of the reply, or who was on the phone; `fields` are the typed answers.
CREATE TABLE answers (
    bucket     BIGINT NOT NULL,
    id         BIGINT NOT NULL,
    contact    BIGINT NOT NULL,
    survey     BIGINT NOT NULL,
    journey    BIGINT NOT NULL,
    enrollment BIGINT NOT NULL,
    step       BIGINT NOT NULL,
    round      BIGINT NOT NULL,
    delivery   BIGINT,
    task       BIGINT,
    at         BIGINT NOT NULL,
    way        TEXT   NOT NULL,
    told_by    TEXT,
    fields     TEXT   NOT NULL,
    PRIMARY KEY (bucket, id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX answers_once ON answers (bucket, enrollment, step, round);
CREATE INDEX answers_of_survey ON answers (bucket, survey, id);
CREATE INDEX answers_of_contact ON answers (bucket, contact, id);
