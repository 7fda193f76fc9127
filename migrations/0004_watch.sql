-- What the operator must be told (design promise 6), and what it is told from: the habit of each channel, and what its
-- source holds beside what was stored.

CREATE TABLE alarm (
    id              {ID},
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL,          -- what it concerns: a connector, an entry, a stage; '' for the gateway
    connector       TEXT,
    since           BIGINT NOT NULL,
    last_seen_at    BIGINT NOT NULL,
    times           BIGINT NOT NULL,
    message_zh      TEXT NOT NULL,          -- nothing personal
    message_en      TEXT NOT NULL,
    acknowledged_by TEXT,
    acknowledged_at BIGINT,
    cleared_at      BIGINT
);
-- One open alarm for one thing, whoever raises it.
CREATE UNIQUE INDEX alarm_open ON alarm (kind, subject) WHERE cleared_at IS NULL;
CREATE INDEX alarm_cleared ON alarm (cleared_at) WHERE cleared_at IS NOT NULL;

-- To whom an alarm was told: one row for each alarm, what happened to it, and target.
CREATE TABLE alarm_telling (
    alarm_id        BIGINT NOT NULL REFERENCES alarm (id),
    event           TEXT NOT NULL,          -- raised, cleared
    target          TEXT NOT NULL,          -- log, webhook, mail
    attempts        BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    told_at         BIGINT,
    given_up_at     BIGINT,
    reason          TEXT,
    PRIMARY KEY (alarm_id, event, target)
);

-- How many entries each connector brought in each hour since 1970 (UTC); the last weeks of it.
CREATE TABLE habit_hour (
    connector TEXT NOT NULL,
    hour      BIGINT NOT NULL,
    entries   BIGINT NOT NULL,
    PRIMARY KEY (connector, hour)
);
-- Since when a connector is watched without a break.
CREATE TABLE habit (
    connector TEXT PRIMARY KEY,
    since     BIGINT NOT NULL,
    looked_at BIGINT NOT NULL
);
-- What was stored before this version is part of the habit.
INSERT INTO habit_hour (connector, hour, entries)
    SELECT connector, received_at / 3600000000, COUNT(*) FROM entry GROUP BY connector, received_at / 3600000000;
INSERT INTO counter (name, value) SELECT 'habit', COALESCE(MAX(id), 0) FROM entry;

-- What a source holds beside what was stored.
CREATE TABLE reconciliation (
    id          {ID},
    connector   TEXT NOT NULL REFERENCES connector (name),
    period_from BIGINT NOT NULL,
    period_to   BIGINT NOT NULL,
    asked_by    TEXT NOT NULL,
    asked_at    BIGINT NOT NULL,
    attempts    BIGINT NOT NULL DEFAULT 0,
    state       TEXT NOT NULL,              -- asked, done, untold, failed
    finished_at BIGINT,
    outcome     TEXT,                       -- the counts and the missing, JSON
    error       TEXT
);
CREATE INDEX reconciliation_by_connector ON reconciliation (connector, id);
CREATE UNIQUE INDEX reconciliation_asked ON reconciliation (connector) WHERE state = 'asked';
