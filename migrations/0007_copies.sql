-- One mail that was sent to several of our addresses is known by its content, whichever mailbox it came through: entries are
-- looked for by what their source calls them.
CREATE INDEX entry_external_id ON entry (external_id);
