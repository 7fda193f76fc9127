-- What pages list by state must not be looked for among all notices.
CREATE INDEX notice_by_state ON notice (state, id);
