-- What pages list by state must not be looked for among all notices.
CREATE INDEX notice_by_state ON notice (state, id);

-- Hot spots: the most shared tickets in their order, and when the complaints of each came, read from the index alone.
CREATE INDEX ticket_most_shared ON ticket (co_reports, updated_at, id) WHERE co_reports > 0 AND merged_into IS NULL;
CREATE INDEX complaint_in_ticket ON complaint (ticket_id, issued_at);
