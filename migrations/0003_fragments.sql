-- Pieces of items whose sources send them piece by piece (calls). A piece is open until it is in an entry or, by its
-- connector's settings, makes none. Its row stays for ever, so that the same piece or delivery is known when it comes again.
CREATE TABLE fragment (
    id          {ID},
    connector   TEXT NOT NULL REFERENCES connector (name),
    item        TEXT NOT NULL,              -- the external id of the entry that it will be part of
    digest      {BYTES} NOT NULL,           -- keyed hash of what tells it from the other pieces of its item
    delivery_id TEXT,
    received_at BIGINT NOT NULL,
    size        BIGINT NOT NULL,
    sealed_raw  {BYTES},                    -- NULL once the entry holds it
    entry_id    BIGINT REFERENCES entry (id),
    dropped     TEXT,                       -- why it makes no entry
    UNIQUE (connector, item, digest)
);
CREATE UNIQUE INDEX fragment_by_delivery ON fragment (connector, delivery_id) WHERE delivery_id IS NOT NULL;
CREATE INDEX fragment_open ON fragment (connector, item) WHERE entry_id IS NULL AND dropped IS NULL;

-- Items with open pieces: the work list of gathering. Written with the pieces, deleted with what they come to.
CREATE TABLE gathering (
    connector TEXT NOT NULL,
    item      TEXT NOT NULL,
    due_at    BIGINT NOT NULL,
    version   BIGINT NOT NULL,              -- raised by every new piece: what was not looked at is not finished
    PRIMARY KEY (connector, item)
);
CREATE INDEX gathering_due ON gathering (due_at);
