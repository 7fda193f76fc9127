-- The console: who may use it, and what its overview counts.

CREATE TABLE account (
    name       TEXT PRIMARY KEY,
    role       TEXT NOT NULL,               -- viewer, clerk, admin, auditor
    password   TEXT,                        -- Argon2id, PHC form; none until its link was used
    enabled    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    seen_at    BIGINT                       -- when it last logged in
);

-- Of a session, a link or a token only the SHA-256 is kept: who reads the database cannot use them.
CREATE TABLE session (
    digest     {BYTES} PRIMARY KEY,
    account    TEXT NOT NULL REFERENCES account (name),
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
CREATE INDEX session_by_account ON session (account, created_at);

CREATE TABLE one_time_link (
    digest     {BYTES} PRIMARY KEY,
    account    TEXT,                        -- whose password it sets; none for the first admin
    expires_at BIGINT NOT NULL
);

CREATE TABLE api_token (
    name       TEXT PRIMARY KEY,
    digest     {BYTES} NOT NULL UNIQUE,
    scopes     TEXT NOT NULL,               -- JSON
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

-- A pause ends by itself.
ALTER TABLE connector ADD COLUMN paused_until BIGINT;

-- What is listed by place or connector must not be looked for among all entries.
CREATE INDEX complaint_by_disposition ON complaint (disposition, entry_id);
CREATE INDEX entry_by_connector ON entry (connector, id);
CREATE INDEX entry_by_receipt ON entry (received_at);
CREATE INDEX queue_by_ticket ON queue_item (ticket_id, id);

-- How many entries of a connector came in on a day (of Asia/Shanghai, counted from 1970) and where they are now; day 0 is
-- the sum of all days. Each change of place leaves a row in tally_change within its own transaction, whatever code made it;
-- the rows are added up from time to time, so that nobody waits for a common row.
CREATE TABLE tally (
    day       BIGINT NOT NULL,
    connector TEXT NOT NULL,
    outcome   TEXT NOT NULL,                -- received, ticket, merged, guided, declined, held, quarantined
    amount    BIGINT NOT NULL,
    PRIMARY KEY (day, connector, outcome)
);
CREATE TABLE tally_change (
    id        {ID},
    day       BIGINT NOT NULL,
    connector TEXT NOT NULL,
    outcome   TEXT NOT NULL,
    amount    BIGINT NOT NULL
);

INSERT INTO tally (day, connector, outcome, amount)
    SELECT (received_at + 28800000000) / 86400000000, connector, 'received', COUNT(*) FROM entry GROUP BY 1, 2;
INSERT INTO tally (day, connector, outcome, amount)
    SELECT (entry.received_at + 28800000000) / 86400000000, entry.connector,
        CASE WHEN complaint.ticket_id IS NOT NULL THEN CASE WHEN complaint.relation = 'opened' THEN 'ticket' ELSE 'merged' END
            WHEN complaint.disposition = 'guide' THEN 'guided' WHEN complaint.disposition = 'decline' THEN 'declined'
            ELSE 'held' END, COUNT(*)
    FROM complaint JOIN entry ON entry.id = complaint.entry_id GROUP BY 1, 2, 3;
INSERT INTO tally (day, connector, outcome, amount)
    SELECT (entry.received_at + 28800000000) / 86400000000, entry.connector, 'quarantined', COUNT(*)
    FROM quarantine JOIN entry ON entry.id = quarantine.entry_id
    WHERE NOT EXISTS (SELECT 1 FROM complaint WHERE complaint.entry_id = quarantine.entry_id) GROUP BY 1, 2;
INSERT INTO tally (day, connector, outcome, amount)
    SELECT 0, connector, outcome, SUM(amount) FROM tally WHERE day > 0 GROUP BY connector, outcome;

CREATE FUNCTION tally_outcome(ticket_id BIGINT, relation TEXT, disposition TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN ticket_id IS NOT NULL THEN CASE WHEN relation = 'opened' THEN 'ticket' ELSE 'merged' END
        WHEN disposition = 'guide' THEN 'guided' WHEN disposition = 'decline' THEN 'declined' ELSE 'held' END
$$;
CREATE FUNCTION tally_note(entry_id BIGINT, outcome TEXT, amount BIGINT) RETURNS void LANGUAGE sql AS $$
    INSERT INTO tally_change (day, connector, outcome, amount)
        SELECT (received_at + 28800000000) / 86400000000, connector, $2, $3 FROM entry WHERE id = $1
$$;
CREATE FUNCTION tally_on_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tally_change (day, connector, outcome, amount)
        VALUES ((NEW.received_at + 28800000000) / 86400000000, NEW.connector, 'received', 1);
    RETURN NULL;
END $$;
CREATE FUNCTION tally_on_complaint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF EXISTS (SELECT 1 FROM quarantine WHERE quarantine.entry_id = NEW.entry_id) THEN
            PERFORM tally_note(NEW.entry_id, 'quarantined', -1);
        END IF;
    ELSE
        PERFORM tally_note(OLD.entry_id, tally_outcome(OLD.ticket_id, OLD.relation, OLD.disposition), -1);
    END IF;
    PERFORM tally_note(NEW.entry_id, tally_outcome(NEW.ticket_id, NEW.relation, NEW.disposition), 1);
    RETURN NULL;
END $$;
CREATE FUNCTION tally_on_quarantine() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT 1 FROM complaint WHERE complaint.entry_id = NEW.entry_id) THEN
            PERFORM tally_note(NEW.entry_id, 'quarantined', 1);
        END IF;
    ELSIF NOT EXISTS (SELECT 1 FROM complaint WHERE complaint.entry_id = OLD.entry_id) THEN
        PERFORM tally_note(OLD.entry_id, 'quarantined', -1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tally_entry AFTER INSERT ON entry FOR EACH ROW EXECUTE FUNCTION tally_on_entry();
CREATE TRIGGER tally_complaint AFTER INSERT ON complaint FOR EACH ROW EXECUTE FUNCTION tally_on_complaint();
CREATE TRIGGER tally_moved AFTER UPDATE OF ticket_id, relation, disposition ON complaint FOR EACH ROW
    WHEN (OLD.ticket_id IS DISTINCT FROM NEW.ticket_id OR OLD.relation IS DISTINCT FROM NEW.relation
        OR OLD.disposition <> NEW.disposition)
    EXECUTE FUNCTION tally_on_complaint();
CREATE TRIGGER tally_quarantine AFTER INSERT OR DELETE ON quarantine FOR EACH ROW EXECUTE FUNCTION tally_on_quarantine();
