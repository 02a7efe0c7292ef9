"""SQL as tokens, statements and refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.query.statements import refusal, statement_at, statements, tokens

PIECES = st.sampled_from(
    [
        "select",
        " ",
        "\n",
        "'a;b'",
        "''",
        "'",
        '"q;"',
        "--c;\n",
        "/* ; */",
        "/*",
        ";",
        "1.5",
        "$$;$$",
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_tokens_tile_the_text(sql: str) -> None:
    end = 0
    for token in tokens(sql):
        assert sql[end : token.start].strip() == ""
        assert token.text == sql[token.start : token.end] != ""
        end = token.end
    assert sql[end:].strip() == ""


@given(st.lists(PIECES).map("".join))
def test_a_statement_is_found_at_every_offset(sql: str) -> None:
    for offset in range(len(sql) + 1):
        found = statement_at(sql, offset)
        assert (found == "") == (statements(sql) == [])
        assert found in sql


def test_semicolons_in_strings_and_comments_end_nothing() -> None:
    sql = "select ';', \";\" -- ;\n /* ; */ ; select e'\\';' ; -- end;"
    assert [sql[a:b] for a, b in statements(sql)] == ["select ';', \";\"", "select e'\\';'"]


def test_the_statement_under_the_cursor() -> None:
    sql = "select 1;\n\nselect 2 ;select 3"
    assert statement_at(sql, 0) == "select 1"
    assert statement_at(sql, 10) == "select 1"
    assert statement_at(sql, sql.index("2")) == "select 2"
    assert statement_at(sql, len(sql)) == "select 3"


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("", "no statement"),
        (" -- nothing\n ;", "no statement"),
        ("select 1; select 2", "2 statements"),
        ("copy t to 'x'", "COPY"),
        ("/* a */ Attach 'x.db'", "ATTACH"),
        ("install httpfs", "INSTALL"),
        ("set threads = 4", "SET"),
        ("with x as (copy (select 1) to 'f') select 1", "COPY"),
        ("with x as not materialized (insert into t values (1)) select 1", "INSERT"),
        ("with x as (/* c */ delete from t returning *) from x", "DELETE"),
        ("with x as (update t set a = 1 returning *) from x", "UPDATE"),
        ("explain analyze copy t to 'f'", "COPY"),
        ("explain (analyze) insert into t values (1)", "INSERT"),
    ],
)
def test_what_writes_is_refused_with_a_sentence(sql: str, word: str) -> None:
    assert word in refusal(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select 1;",
        "from coverage",
        "select 'copy t to x' as \"insert\"",
        "select list_update, copy from t where (delete_count > 1)",
        "with a as (select 1) select * from a",
        "explain select update_time from t",
        "describe commits",
        "summarize commits",
        "show tables",
        "values (1)",
    ],
)
def test_reading_is_not_refused(sql: str) -> None:
    assert refusal(sql) == ""
