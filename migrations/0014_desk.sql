-- What people decide at the console: what each decision rested on, and rulings that can still be taken back.

-- Rule, version, evidence, what spoke against it and score of each decision, JSON; earlier decisions have none.
ALTER TABLE decision ADD COLUMN grounds TEXT;

-- A person's ruling that takes effect at `due_at`; until then it is taken back by taking the row away.
CREATE TABLE withheld_ruling (
    entry_id BIGINT PRIMARY KEY REFERENCES entry (id),
    ruling   TEXT NOT NULL,                 -- JSON
    actor    TEXT NOT NULL,
    at       BIGINT NOT NULL,
    due_at   BIGINT NOT NULL
);
CREATE INDEX withheld_ruling_due ON withheld_ruling (due_at);

-- What is listed and told together must not be looked for among everything.
CREATE INDEX complaint_merged ON complaint (entry_id) WHERE relation <> 'opened';
CREATE INDEX audit_by_subject ON audit (subject, seq);
CREATE INDEX ticket_merge_by_kept ON ticket_merge (kept);
