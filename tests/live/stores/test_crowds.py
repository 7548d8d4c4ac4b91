"""Many gateways at once on the same rows: nobody waits for each other in a circle."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from cluster.errors import ConversationBusy, ConversationNotFound, Overloaded
from cluster.stores.conversations import Conversations
from cluster.stores.database import now
from cluster.stores.stream_journal import Progress, StreamJournal, settle
from cluster.stores.stream_sessions import StreamSessions
from tests.unit.stores.test_stream_sessions import ASKED, DONE

TALKS = 4
ROUNDS = 20


def test_answers_deletions_and_clearing_up_never_deadlock(database: Engine) -> None:
    talks, sessions = Conversations(database), StreamSessions(database)

    def one_gateway(number: int) -> int:
        draw, journal, begun = random.Random(number), StreamJournal(database, f"g{number}"), 0
        for turn in range(ROUNDS):
            name, talk = f"{number}-{turn}", f"c{draw.randrange(TALKS)}"
            with suppress(IntegrityError, ConversationNotFound):  # it is there already, or gone again
                talks.create(id=talk, owner="me", values={})
            try:
                seen = talks.recent(talk, max_messages=1, max_bytes=999)[1]
                question = replace(ASKED, conversation_id=talk, seen=seen[-1].number if seen else 0)
                sessions.begin(
                    question, ids=(f"q{name}", f"a{name}", name), gateway=f"g{number}", max_active=9, kept=2
                )
            except (ConversationBusy, ConversationNotFound, Overloaded):
                settle(database, owner="me", before=now() - timedelta(seconds=draw.random() / 50))
                continue
            begun += 1
            ending = DONE if draw.random() < 0.7 else None
            journal.write(
                [Progress(session_id=name, first=2, texts=["a"], tokens=1, ending=ending)], alive=[name, "other"]
            )
            if draw.random() < 0.3:
                with suppress(ConversationNotFound):
                    talks.remove(talk, owner="me")
        return begun

    with ThreadPoolExecutor(4) as gateways:
        assert sum(gateways.map(one_gateway, range(4))) > ROUNDS
