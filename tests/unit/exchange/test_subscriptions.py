"""The ledger requests missing topics in allowed portions, and copes with every answer of an exchange."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest_binance.adapter import ADAPTER as BINANCE
from ingest_bybit.adapter import ADAPTER as BYBIT
from ingest_okx.adapter import ADAPTER as OKX
from market_pulse.exchange.adapter import Acknowledged, Adapter, Refused, Subscribed
from market_pulse.exchange.subscriptions import ANSWER_LIMIT_S, RETRY_UNKNOWN_S, Request, Subscriptions

SMALL = replace(BYBIT, topics_per_request=4)


def all_requests(ledger: Subscriptions, now_s: float = 0.0) -> list[Request]:
    requests = []
    while (request := ledger.next_request(now_s)) is not None:
        requests.append(request)
    return requests


def wanting(adapter: Adapter, *natives: str) -> Subscriptions:
    ledger = Subscriptions(adapter)
    ledger.want(natives)
    return ledger


def test_asks_in_order_and_in_portions() -> None:
    first, second = all_requests(wanting(SMALL, "B", "A", "C"))
    assert first.topics == ("tickers.B", "orderbook.1.B", "tickers.A", "orderbook.1.A")
    assert second.topics == ("tickers.C", "orderbook.1.C")


def test_an_acknowledged_request_is_live() -> None:
    ledger = wanting(SMALL, "A")
    (request,) = all_requests(ledger)
    ledger.acknowledged(Acknowledged(str(request.request_id)))
    assert ledger.live == {"A"}
    assert all_requests(ledger) == []


def test_each_argument_may_be_acknowledged_by_itself() -> None:
    ledger = wanting(OKX, "A-USDT", "B-USDT")
    (request,) = all_requests(ledger)
    ledger.acknowledged(Acknowledged(str(request.request_id), "tickers:A-USDT"))
    assert ledger.live == {"A-USDT"}


def test_a_bad_topic_that_voids_its_request_costs_the_others_nothing() -> None:
    ledger = wanting(SMALL, "A", "NOPE")
    (request,) = all_requests(ledger)
    out = ledger.refused_by(Refused(str(request.request_id), "tickers.NOPE", "unknown", "Invalid symbol"), 0.0)
    assert out == "NOPE"
    assert ledger.refused == {"NOPE"}
    (again,) = all_requests(ledger)
    assert again.topics == ("tickers.A", "orderbook.1.A")
    assert all_requests(ledger, RETRY_UNKNOWN_S[0] + 1)[0].topics == ("tickers.NOPE", "orderbook.1.NOPE")


def test_a_bad_argument_leaves_the_rest_of_its_request_alone() -> None:
    ledger = wanting(OKX, "A-USDT", "NOPE-USDT")
    (request,) = all_requests(ledger)
    ledger.refused_by(Refused(None, "tickers:NOPE-USDT", "unknown", "60018"), 0.0)
    ledger.acknowledged(Acknowledged(str(request.request_id), "tickers:A-USDT"))
    assert ledger.live == {"A-USDT"}
    assert all_requests(ledger) == []


def test_what_stays_unknown_is_asked_for_ever_more_rarely() -> None:
    """An exchange that has just started may know the symbol in seconds. One that has delisted it never will."""
    ledger, asked = wanting(BYBIT, "NOPE"), []
    for now_s in range(2000):
        request = ledger.next_request(now_s)
        if request is not None:
            asked.append(now_s)
            for topic in request.topics:
                ledger.refused_by(Refused(str(request.request_id), topic, "unknown", "Invalid symbol"), now_s)
    waits = [after - before for before, after in pairwise(asked)]
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300]


def test_a_refusal_that_names_nobody_is_found_out_one_by_one() -> None:
    ledger = wanting(SMALL, "A", "NOPE")
    (request,) = all_requests(ledger)
    assert ledger.refused_by(Refused(str(request.request_id), None, "unknown", "bad"), 0.0) is None
    first, second = all_requests(ledger)
    assert {first.topics[0], second.topics[0]} == {"tickers.A", "tickers.NOPE"}
    assert len(first.topics) == len(second.topics) == 2


def test_already_subscribed_is_success() -> None:
    ledger = wanting(SMALL, "A")
    (request,) = all_requests(ledger)
    ledger.refused_by(Refused(str(request.request_id), "tickers.A", "already", "already subscribed"), 0.0)
    (again,) = all_requests(ledger)
    assert again.topics == ("orderbook.1.A",)


def test_too_fast_is_asked_again_a_little_later() -> None:
    ledger = wanting(BINANCE, "A", "B")
    (request,) = all_requests(ledger)
    ledger.refused_by(Refused(str(request.request_id), None, "later", "Too many subscriptions"), 0.0)
    assert all_requests(ledger, 1.0) == []
    assert len(all_requests(ledger, 6.0)) == 1


def test_what_is_wanted_no_more_is_unsubscribed() -> None:
    ledger = wanting(SMALL, "A", "B")
    (request,) = all_requests(ledger)
    ledger.acknowledged(Acknowledged(str(request.request_id)))
    ledger.want(["B"])
    (goodbye,) = all_requests(ledger)
    assert (goodbye.kind, sorted(goodbye.topics)) == ("unsubscribe", ["orderbook.1.A", "tickers.A"])


def test_a_symbol_released_while_it_was_asked_for_is_unsubscribed_once_acknowledged() -> None:
    ledger = wanting(SMALL, "A")
    (request,) = all_requests(ledger)
    ledger.want([])
    assert all_requests(ledger) == []
    ledger.acknowledged(Acknowledged(str(request.request_id)))
    assert [one.kind for one in all_requests(ledger)] == ["unsubscribe"]


def test_requests_without_an_answer_are_repeated_and_counted() -> None:
    ledger = wanting(SMALL, "A")
    all_requests(ledger)
    ledger.expire(ANSWER_LIMIT_S + 1)
    assert ledger.unanswered == 1
    assert len(all_requests(ledger, ANSWER_LIMIT_S + 1)) == 1


def test_data_is_as_good_as_an_acknowledgement() -> None:
    ledger = wanting(SMALL, "A")
    all_requests(ledger)
    ledger.delivered("A")
    ledger.expire(ANSWER_LIMIT_S + 1)
    assert (ledger.live, ledger.unanswered) == ({"A"}, 0)


def test_a_deaf_symbol_is_ended_and_begun_anew() -> None:
    ledger = wanting(SMALL, "A", "B")
    (request,) = all_requests(ledger)
    ledger.acknowledged(Acknowledged(str(request.request_id)))
    ledger.again("A")
    goodbye, welcome = all_requests(ledger)
    assert (goodbye.kind, sorted(goodbye.topics)) == ("unsubscribe", ["orderbook.1.A", "tickers.A"])
    assert (welcome.kind, sorted(welcome.topics)) == ("subscribe", ["orderbook.1.A", "tickers.A"])
    ledger.acknowledged(Acknowledged(str(goodbye.request_id)))
    assert ledger.live == {"B"}  # the unsubscription is acknowledged, not the subscription


def test_what_may_be_live_without_an_answer_is_ended_when_nobody_wants_it() -> None:
    ledger = wanting(SMALL, "A")
    all_requests(ledger)
    ledger.want([])
    ledger.expire(ANSWER_LIMIT_S + 1)
    assert [one.kind for one in all_requests(ledger)] == ["unsubscribe"]


def test_an_acknowledgement_without_a_number_is_booked_by_its_topic() -> None:
    ledger = wanting(OKX, "A", "B")
    all_requests(ledger)
    ledger.acknowledged(Acknowledged(None, "tickers:A"))
    assert ledger.live == {"A"}
    ledger.acknowledged(Acknowledged(None, "tickers:B"))
    ledger.expire(ANSWER_LIMIT_S + 1)
    assert (ledger.live, ledger.unanswered) == ({"A", "B"}, 0)


def test_without_numbers_the_end_of_a_subscription_is_acknowledged_before_the_new_one() -> None:
    ledger = wanting(OKX, "A", "B")
    all_requests(ledger)
    ledger.acknowledged(Acknowledged(None, "tickers:A"))
    ledger.acknowledged(Acknowledged(None, "tickers:B"))
    ledger.again("A")
    goodbye, welcome = all_requests(ledger)
    assert (goodbye.kind, welcome.kind) == ("unsubscribe", "subscribe")
    ledger.acknowledged(Acknowledged(None, "tickers:A"))
    assert ledger.live == {"B"}
    ledger.acknowledged(Acknowledged(None, "tickers:A"))
    assert ledger.live == {"A", "B"}


def test_a_refusal_without_a_number_releases_the_request_that_has_its_topic() -> None:
    ledger = wanting(SMALL, "A", "NOPE", "C")
    first, second = all_requests(ledger)
    assert ledger.refused_by(Refused(None, "tickers.NOPE", "unknown", "no such product"), 0.0) == "NOPE"
    assert ledger.refused == {"NOPE"}
    assert [one.topics for one in all_requests(ledger)] == [("tickers.A", "orderbook.1.A")]
    ledger.acknowledged(Acknowledged(str(second.request_id)))
    assert ledger.live == {"C"}
    assert first.request_id != second.request_id


def test_an_answer_without_number_and_topic_belongs_to_the_only_request() -> None:
    ledger = wanting(SMALL, "A")
    all_requests(ledger)
    ledger.refused_by(Refused(None, None, "later", "too many requests"), 0.0)
    assert all_requests(ledger, 1.0) == []
    assert len(all_requests(ledger, 6.0)) == 1
    ledger.acknowledged(Acknowledged(None))
    assert ledger.live == {"A"}


def test_an_answer_that_could_be_about_either_of_two_requests_is_about_neither() -> None:
    ledger = wanting(SMALL, "A", "B", "C")
    all_requests(ledger)
    ledger.acknowledged(Acknowledged(None))
    ledger.refused_by(Refused(None, None, "unknown", "bad"), 0.0)
    assert ledger.live == set()
    assert all_requests(ledger, 1.0) == []


def test_the_whole_state_of_the_socket_is_believed() -> None:
    ledger = wanting(OKX, "A", "B")
    all_requests(ledger)
    ledger.subscribed(Subscribed(frozenset({"tickers:A"})))
    assert ledger.live == {"A"}
    assert all_requests(ledger) == [], "B is asked for already"
    ledger.subscribed(Subscribed(frozenset({"tickers:A", "tickers:B"})))
    ledger.expire(ANSWER_LIMIT_S + 1)
    assert (ledger.live, ledger.unanswered) == ({"A", "B"}, 0)
    ledger.subscribed(Subscribed(frozenset({"tickers:B"})))
    assert [one.topics for one in all_requests(ledger)] == [("tickers:A",)]


def test_a_topic_that_the_whole_state_lacks_is_asked_for_again_after_the_limit() -> None:
    ledger = wanting(OKX, "A", "B")
    all_requests(ledger)
    ledger.subscribed(Subscribed(frozenset({"tickers:A"})))
    ledger.expire(ANSWER_LIMIT_S + 1)
    assert ledger.unanswered == 1
    assert [one.topics for one in all_requests(ledger, ANSWER_LIMIT_S + 1)] == [("tickers:B",)]


def test_a_state_from_before_a_topic_was_ended_does_not_revive_it() -> None:
    ledger = wanting(OKX, "A", "B")
    all_requests(ledger)
    both = Subscribed(frozenset({"tickers:A", "tickers:B"}))
    ledger.subscribed(both)
    ledger.again("A")
    assert [one.kind for one in all_requests(ledger)] == ["unsubscribe", "subscribe"]
    ledger.subscribed(both)
    assert ledger.live == {"B"}
    ledger.subscribed(Subscribed(frozenset({"tickers:B"})))
    assert ledger.live == {"B"}
    ledger.subscribed(both)
    assert ledger.live == {"A", "B"}
    assert all_requests(ledger) == []


def test_a_topic_that_nobody_wants_is_ended_if_the_socket_has_it() -> None:
    ledger = wanting(OKX, "A")
    ledger.subscribed(Subscribed(frozenset({"tickers:B"})))
    goodbye, welcome = all_requests(ledger)
    assert (goodbye.kind, goodbye.topics, welcome.topics) == ("unsubscribe", ("tickers:B",), ("tickers:A",))
    ledger.subscribed(Subscribed(frozenset({"tickers:A", "tickers:B"})))
    assert all_requests(ledger) == [], "an exchange that does not end it is not asked at each answer"


NATIVES = st.sampled_from(["A", "B", "C", "D", "E"])
ANSWERS = st.one_of(
    st.builds(
        Acknowledged, st.integers(0, 12).map(str) | st.none() | st.just("x"), st.none() | NATIVES.map("tickers.{}".format)
    ),
    st.builds(
        Refused,
        st.integers(0, 12).map(str) | st.none(),
        st.none() | NATIVES.map("tickers.{}".format),
        st.sampled_from(["unknown", "already", "later"]),
        st.just("why"),
    ),
    st.builds(Subscribed, st.frozensets(NATIVES.map("tickers.{}".format))),
    st.lists(NATIVES, unique=True),
)


@given(st.lists(ANSWERS, max_size=30))
def test_whatever_an_exchange_answers_the_ledger_settles(
    answers: list[Acknowledged | Refused | Subscribed | list[str]],
) -> None:
    """After any answers in any order, followed by correct ones, exactly the wanted topics are live in the end."""
    ledger = wanting(SMALL, "A", "B", "C")
    wanted: set[str] = {"A", "B", "C"}
    now_s = 0.0
    for answer in answers:
        now_s += 1.0
        if isinstance(answer, list):
            ledger.want(answer)
            wanted = set(answer)
        elif isinstance(answer, Refused):
            ledger.refused_by(answer, now_s)
        elif isinstance(answer, Subscribed):
            ledger.subscribed(answer)
        else:
            ledger.acknowledged(answer)
        ledger.next_request(now_s)
    now_s += RETRY_UNKNOWN_S[1] + ANSWER_LIMIT_S + 1
    ledger.expire(now_s)
    for _ in range(60):
        request = ledger.next_request(now_s)
        if request is None:
            break
        ledger.acknowledged(Acknowledged(str(request.request_id)))
    else:
        raise AssertionError("the ledger never settles")
    assert ledger.live == wanted
