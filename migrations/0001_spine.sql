-- One schema for both databases. {ID} is an identity primary key, {BYTES} a byte string; times are microseconds since
-- 1970 (UTC); JSON is text. Columns named sealed_* hold what `seal` sealed and nothing else may read.

CREATE TABLE connector (
    name          TEXT PRIMARY KEY,
    channel       TEXT NOT NULL,
    adapter       TEXT NOT NULL,
    definition    TEXT NOT NULL,            -- the whole definition, JSON; secrets by reference only
    origin        TEXT NOT NULL,            -- 'file', or 'gone' when the file names it no more
    enabled       BIGINT NOT NULL,          -- the switch: 0 or 1
    generation    BIGINT NOT NULL,          -- raised by every change that its task must notice
    cursor        TEXT,
    run_requested BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

-- What a connector's task reports; apart from `connector` so that reports never collide with an admin's change.
CREATE TABLE connector_health (
    connector        TEXT PRIMARY KEY REFERENCES connector (name),
    state            TEXT NOT NULL,
    since            BIGINT NOT NULL,
    last_success_at  BIGINT,
    last_entry_at    BIGINT,
    failures         BIGINT NOT NULL DEFAULT 0,
    last_error       TEXT,
    last_error_class TEXT,
    last_error_at    BIGINT,
    next_attempt_at  BIGINT
);

CREATE TABLE run (
    id          {ID},
    connector   TEXT NOT NULL REFERENCES connector (name),
    started_at  BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    pages       BIGINT NOT NULL,
    stored      BIGINT NOT NULL,
    repeats     BIGINT NOT NULL,
    quarantined BIGINT NOT NULL,
    error       TEXT
);
CREATE INDEX run_by_connector ON run (connector, id);

-- One holder at a time for each connector's source and for each stage that must not run twice.
CREATE TABLE lease (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    epoch      BIGINT NOT NULL,             -- raised at each change of holder: the fencing token
    expires_at BIGINT NOT NULL
);

CREATE TABLE entry (
    id          {ID},
    connector   TEXT NOT NULL REFERENCES connector (name),
    external_id TEXT NOT NULL,
    revision    TEXT NOT NULL,
    delivery_id TEXT,
    form        TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    source_time TEXT,
    remarks     TEXT NOT NULL,
    size        BIGINT NOT NULL,
    sealed_raw  {BYTES} NOT NULL,
    UNIQUE (connector, external_id, revision)
);
CREATE UNIQUE INDEX entry_by_delivery ON entry (connector, delivery_id) WHERE delivery_id IS NOT NULL;

-- Entries that are stored and not yet issued: the work list of assess and issue.
CREATE TABLE pending (
    entry_id BIGINT PRIMARY KEY REFERENCES entry (id),
    again    BIGINT NOT NULL DEFAULT 0,     -- how often it was put back on the list
    ruling   TEXT                           -- a person's decision to issue it by, JSON
);

CREATE TABLE quarantine (
    entry_id BIGINT PRIMARY KEY REFERENCES entry (id),
    at       BIGINT NOT NULL,
    stage    TEXT NOT NULL,
    reason   TEXT NOT NULL
);

CREATE TABLE ticket (
    id           BIGINT PRIMARY KEY,
    number       TEXT NOT NULL UNIQUE,
    entry_id     BIGINT NOT NULL REFERENCES entry (id),  -- the complaint that opened it
    channel      TEXT NOT NULL,
    kind         TEXT NOT NULL,
    urgency      TEXT NOT NULL,
    opened_at    BIGINT NOT NULL,
    assign_due   BIGINT,
    complete_due BIGINT,
    due_note     TEXT,                      -- why a due time is not known
    version      BIGINT NOT NULL,
    repeats      BIGINT NOT NULL DEFAULT 0,
    co_reports   BIGINT NOT NULL DEFAULT 0,
    follow_ups   BIGINT NOT NULL DEFAULT 0,
    revisions    BIGINT NOT NULL DEFAULT 0,
    updated_at   BIGINT NOT NULL
);

CREATE TABLE complaint (
    entry_id          BIGINT PRIMARY KEY REFERENCES entry (id),
    ticket_id         BIGINT REFERENCES ticket (id),
    relation          TEXT,                 -- opened, repeat, co_report, follow_up, revision
    disposition       TEXT NOT NULL,
    article           TEXT NOT NULL,
    rule              TEXT NOT NULL,
    grounds           TEXT NOT NULL,
    kind              TEXT NOT NULL,
    kind_certain      BIGINT NOT NULL,
    urgency           TEXT NOT NULL,
    silent            BIGINT NOT NULL,
    shown             TEXT NOT NULL,
    sealed_petitioner {BYTES} NOT NULL,
    issued_at         BIGINT NOT NULL
);
CREATE INDEX complaint_by_ticket ON complaint (ticket_id, entry_id);
CREATE INDEX complaint_held ON complaint (entry_id) WHERE disposition = 'hold';

-- Keyed hashes of telephone numbers and addresses: equality without the value (Article 24).
CREATE TABLE petitioner_key (
    key      {BYTES} NOT NULL,
    entry_id BIGINT NOT NULL REFERENCES entry (id),
    PRIMARY KEY (key, entry_id)
);

-- What identifies a matter: a digest of its text, alone and with the petitioner's keyed hash.
CREATE TABLE matter_key (
    key       {BYTES} PRIMARY KEY,
    ticket_id BIGINT NOT NULL REFERENCES ticket (id),
    at        BIGINT NOT NULL
);

-- Every decision about an entry, the machine's and people's, in order; never changed.
CREATE TABLE decision (
    id          {ID},
    entry_id    BIGINT NOT NULL REFERENCES entry (id),
    at          BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    disposition TEXT NOT NULL,
    article     TEXT NOT NULL,
    rule        TEXT NOT NULL,
    reason      TEXT,
    ticket_id   BIGINT
);
CREATE INDEX decision_by_entry ON decision (entry_id, id);

CREATE TABLE queue_item (
    id               {ID},
    ticket_id        BIGINT NOT NULL REFERENCES ticket (id),
    event            TEXT NOT NULL,
    urgency_rank     BIGINT NOT NULL,
    state            TEXT NOT NULL,         -- ready, leased, done, dead
    attempts         BIGINT NOT NULL DEFAULT 0,
    available_at     BIGINT NOT NULL,
    lease            TEXT,
    lease_expires_at BIGINT,
    consumer         TEXT,
    reason           TEXT,
    created_at       BIGINT NOT NULL,
    finished_at      BIGINT
);
CREATE INDEX queue_ready ON queue_item (urgency_rank DESC, id) WHERE state = 'ready';
CREATE INDEX queue_leased ON queue_item (lease_expires_at) WHERE state = 'leased';
CREATE INDEX queue_dead ON queue_item (id) WHERE state = 'dead';
-- At most one waiting delivery for a ticket: it shows the ticket as it is when it is leased.
CREATE UNIQUE INDEX queue_one_waiting ON queue_item (ticket_id) WHERE state = 'ready';

CREATE TABLE notice (
    id               {ID},
    entry_id         BIGINT NOT NULL REFERENCES entry (id),
    ticket_id        BIGINT REFERENCES ticket (id),
    connector        TEXT NOT NULL,         -- the connector that the entry came through
    template         TEXT NOT NULL,
    message_id       TEXT NOT NULL UNIQUE,
    sealed_recipient {BYTES},
    recipient_key    {BYTES},
    answers          TEXT NOT NULL,
    subject          TEXT NOT NULL,
    body             TEXT NOT NULL,
    state            TEXT NOT NULL,         -- pending, sent, failed, suppressed, unroutable
    reason           TEXT,
    attempts         BIGINT NOT NULL DEFAULT 0,
    next_attempt_at  BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    sent_at          BIGINT
);
CREATE INDEX notice_pending ON notice (next_attempt_at, id) WHERE state = 'pending';
CREATE INDEX notice_sent_to ON notice (recipient_key, sent_at) WHERE state = 'sent';
CREATE INDEX notice_by_entry ON notice (entry_id);
CREATE INDEX notice_untold ON notice (id) WHERE state = 'unroutable';

CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

-- Who did what and why; each row carries the hash of the one before it.
CREATE TABLE audit (
    seq      BIGINT PRIMARY KEY,
    at       BIGINT NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    reason   TEXT,
    previous TEXT NOT NULL,
    hash     TEXT NOT NULL
);
CREATE TABLE audit_head (
    id   BIGINT PRIMARY KEY,
    seq  BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');
