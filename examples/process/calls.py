"""A source in Python: the call records of an exchange, kept in an SQLite database. Nothing but the standard library.

    command = ["python3", "calls.py"]
    env = { CALLS = "/srv/exchange/calls.db" }
    mapping = { preset = "call_center" }

The table: records(number INTEGER PRIMARY KEY, document TEXT, taken INTEGER DEFAULT 0). The cursor is the last number;
once a page is stored its records are marked as taken.
"""

import json
import os
import sqlite3
import sys


class Fault(Exception):
    def __init__(self, kind, message, remedy=None):
        super().__init__(message)
        self.told = {"class": kind, "message": message, "remedy": remedy}


def answer(**line):
    # One line each, at once: the gateway waits for it.
    print(json.dumps(line, ensure_ascii=False), flush=True)


def database():
    path = os.environ.get("CALLS", "")
    if not os.path.exists(path):
        raise Fault("configuration", "the database does not exist", "name it in env = { CALLS = … }")
    return sqlite3.connect(path, timeout=10)


def check():
    try:
        (count,) = database().execute("SELECT count(*) FROM records").fetchone()
        step = {"name": "reach", "ok": f"{count} records"}
    except Fault as fault:
        step = {"name": "reach", "fault": fault.told}
    answer(steps=[step])


def pull(question):
    last = question["cursor"] or 0
    rows = (
        database()
        .execute(
            "SELECT number, document FROM records WHERE number > ? ORDER BY number LIMIT ?",
            (last, question["items"] + 1),
        )
        .fetchall()
    )
    size = 0
    sent = 0
    for number, document in rows[: question["items"]]:
        try:
            answer(item={"id": str(number), "document": json.loads(document)})
        except ValueError:
            # One bad record is told by itself and stops nothing.
            answer(item={"id": str(number), "unread": "the record is not JSON"})
        last, sent, size = number, sent + 1, size + len(document.encode())
        if size >= question["bytes"]:
            break
    answer(cursor=last, more=sent < len(rows))


def holdings(question):
    # All records, whenever they were made: the table does not say when.
    rows = database().execute("SELECT number FROM records ORDER BY number LIMIT ?", (question["items"] + 1,)).fetchall()
    held = [{"id": str(number), "place": f"record {number}"} for (number,) in rows[: question["items"]]]
    answer(held=held, whole=len(rows) <= question["items"])


def acknowledge(question):
    with database() as connection:
        connection.execute("UPDATE records SET taken = 1 WHERE number <= ?", (question["cursor"],))
    answer()


for line in sys.stdin:
    question = json.loads(line)
    try:
        match question["ask"]:
            case "describe":
                answer(protocol=1, about="call records in SQLite", acknowledges=True)
            case "check":
                check()
            case "pull":
                pull(question)
            case "holdings":
                holdings(question)
            case "acknowledge":
                acknowledge(question)
            case _:
                answer()
    except Fault as fault:
        answer(fault=fault.told)
    except sqlite3.Error as error:
        # The kind of error, never what stood in the records.
        answer(fault={"class": "transient", "message": f"the database: {type(error).__name__}"})
