-- What a citizen asks by what became of a submission. Of the query code only its keyed hash is kept: the code itself is known to
-- the citizen alone.
CREATE TABLE query_code (
    code        {BYTES} PRIMARY KEY,
    connector   TEXT NOT NULL REFERENCES connector (name),
    external_id TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);
