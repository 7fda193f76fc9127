-- Rule files that were published: kept as text, so that every disposition's rules can be read again and put back.
CREATE TABLE rule_version (
    id           {ID},
    version      TEXT NOT NULL UNIQUE,      -- as dispositions name it: declared version and digest of the text
    text         TEXT NOT NULL,
    origin       TEXT NOT NULL,             -- 'shipped', 'file' or 'published'
    actor        TEXT NOT NULL,
    note         TEXT,
    published_at BIGINT NOT NULL
);

-- Which version was put in force when, by whom and why; the last row is in force. Without a row the shipped rules are.
CREATE TABLE rule_activation (
    id      {ID},
    version TEXT NOT NULL REFERENCES rule_version (version),
    actor   TEXT NOT NULL,
    reason  TEXT,
    at      BIGINT NOT NULL
);
