-- What a complaint is matched by, so that the index can be made anew from here; what people said of machine joins.
CREATE TABLE match_signature (
    entry_id  BIGINT PRIMARY KEY REFERENCES entry (id),
    seq       BIGINT NOT NULL UNIQUE,       -- in the order in which complaints were issued
    at        BIGINT NOT NULL,
    words     TEXT NOT NULL,                -- version of the words that it was made by
    signature {BYTES} NOT NULL
);

-- By which signs a complaint was joined, and what is related to it, JSON.
ALTER TABLE complaint ADD COLUMN matching TEXT;

ALTER TABLE ticket ADD COLUMN merged_into BIGINT REFERENCES ticket (id);
CREATE INDEX ticket_shared ON ticket (updated_at) WHERE co_reports > 0;

-- Tickets merged by hand, and merges undone.
CREATE TABLE ticket_merge (
    id          {ID},
    kept        BIGINT NOT NULL REFERENCES ticket (id),
    merged      BIGINT NOT NULL REFERENCES ticket (id),
    moved       TEXT NOT NULL,              -- which entries, and how they stood to their ticket before, JSON
    at          BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    undone_at   BIGINT,
    undone_by   TEXT,
    undo_reason TEXT
);
CREATE UNIQUE INDEX ticket_merge_standing ON ticket_merge (merged) WHERE undone_at IS NULL;

-- Two complaints that a person has said to be one matter, or not: what matching is measured on.
CREATE TABLE match_label (
    id       {ID},
    one      BIGINT NOT NULL REFERENCES entry (id),
    other    BIGINT NOT NULL REFERENCES entry (id),
    relation TEXT NOT NULL,                 -- same, different
    at       BIGINT NOT NULL,
    actor    TEXT NOT NULL
);
CREATE INDEX match_label_one ON match_label (one) WHERE relation = 'different';
CREATE INDEX match_label_other ON match_label (other) WHERE relation = 'different';
