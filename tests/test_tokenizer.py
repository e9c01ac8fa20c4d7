"""`tokenizer`: the same ids as open_clip's own tokenizer, whatever the text."""

from __future__ import annotations

import itertools
import random
import string
import sys
import unicodedata

import pytest

from llmseg import tokenizer
from llmseg.errors import InputError, ModelError
from llmseg.tokenizer import (
    END,
    START,
    VOCABULARY_SIZE,
    ClipTokenizer,
    batch_lengths,
    clean_text,
    find_merges,
    is_plain,
)

NASTY = [
    *("", " ", "\t\n ", "a", "A photo of a cat.", "it's they've I'LL we'd you're i'm don't", "'S 'ſ ''s'' '"),
    *("naïve café", "cafe\u0301", "ÅNGSTRÖM", "İstanbul", "STRASSE ß", "ﬁne ﬂow", "\u017fun", "\u212a\u212b"),
    *(
        "猫と犬",
        "кошка и собака",
        "قطة",
        "חתול",
        "γάτα",
        "แมว",
        "बिल्ली",
        "고양이",
        "cat猫кот",
        "日本語123abc",
    ),
    *("😀", "👩‍👩‍👧‍👦 family", "🇩🇪flag", "❤️", "☂️☔", "👍🏽", "a😀b", "1️⃣"),
    *("123", "3.14", "1,000,000", "4x4", "x2y", "Ⅷ", "½ ²", "٣٤", "007"),
    *(
        "snake_case_name",
        "__init__",
        "a_b",
        "kebab-case",
        "a/b\\c",
        "C++",
        "#tag @user",
        "50% off!",
        "e-mail@x.org",
    ),
    *(
        "&amp;",
        "&amp;amp;",
        "&amp;amp;amp;lt;",
        "&lt;b&gt;",
        "&hearts;",
        "&#39;s",
        "&#x1F600;",
        "&EACUTE;",
        "&nope;",
    ),
    *("&Atilde;&copy;", "AT&T", "a & b", "&nbsp;x", "&lt;start_of_text&gt;", "<b>&amp;</b>"),
    *("â€œquotesâ€\u009d", "schÃ¶n", "“curly” ‘quotes’", "—dash–", "…", "ｆｕｌｌ　ｗｉｄｔｈ"),
    *(
        "<start_of_text>",
        "<end_of_text>",
        "<START_OF_TEXT>",
        "x<end_of_text>y",
        "<start_of_text",
        "<|endoftext|>",
    ),
    *(
        "a\x00b",
        "\x1b[36mred\x1b[0m",
        "x\x7fy",
        "fi\x0cx",
        "\ufeffbom",
        "zero\u200bwidth",
        "soft\u00adhyphen",
    ),
    *("\u202eright to left", "a\u0300\u0301\u0302\u0303", "\u2028line\u2029", "\r\nwindows\r\n", "\u00a0"),
    *("supercalifragilisticexpialidocious", "a" * 300, "ab" * 500, "!" * 200, "猫" * 100, "😀" * 50),
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
]


def _random_texts(count: int) -> list[str]:
    source = random.Random(0)
    letters = [chr(code) for code in range(32, 0x2FFF) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    printable = string.ascii_letters + string.digits + string.punctuation + "   "
    return [
        "".join(source.choices(alphabet, k=source.randint(1, 30)))
        for _ in range(count)
        for alphabet in (letters, printable, "<>&;_'st rem l#x0123")
    ]


@pytest.fixture(scope="module")
def ours() -> ClipTokenizer:
    return ClipTokenizer()


@pytest.fixture(scope="module")
def theirs():
    return pytest.importorskip("open_clip.tokenizer").SimpleTokenizer()


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_ids_equal_open_clip(ours, theirs, text):
    assert ours.encode(text) == theirs.encode(text)


def test_ids_equal_open_clip_on_random_texts(ours, theirs):
    texts = _random_texts(60)
    assert len(NASTY) + len(texts) > 250
    assert [text for text in texts if ours.encode(text) != theirs.encode(text)] == []


def test_a_second_time_gives_the_same_ids(ours):
    assert ours.encode("a hippogriff") == ours.encode("a hippogriff")


def test_a_known_sentence_by_hand(ours):
    assert ours.encode("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert ours(["a cat"]).tolist() == [[START, 320, 2368, END]]


def test_rows_are_padded_with_zeros_to_the_longest(ours):
    rows = ours(["cat", "a photo of a cat"])
    assert rows.tolist() == [[START, 2368, END, 0, 0, 0, 0], [START, 320, 1125, 539, 320, 2368, END]]
    assert str(rows.dtype) == "torch.int64"


def test_padded_rows_equal_open_clip(ours, theirs):
    sentences = [text for text in NASTY if len(theirs.encode(text)) <= 75]
    rows = ours(sentences)
    assert theirs(sentences)[:, : rows.shape[1]].equal(rows)
    assert not theirs(sentences)[:, rows.shape[1] :].any()


def test_rows_may_be_padded_further(ours, theirs):
    sentences = ["cat", "a photo of a cat"]
    assert ours(sentences, 77).equal(theirs(sentences))


def test_no_sentences_give_no_rows(ours):
    assert ours([]).shape == (0, 2)


def test_a_sentence_may_fill_the_context_and_no_more():
    short = ClipTokenizer(context_length=5)
    assert short(["a cat a"]).shape == (1, 5)
    with pytest.raises(InputError) as caught:
        short(["cat", "a cat a cat"])
    assert str(caught.value) == "phrase: 'a cat a cat' has 6 tokens; expected at most 5. Shorten it."


def test_a_long_sentence_is_cut_in_the_message():
    with pytest.raises(InputError) as caught:
        ClipTokenizer(context_length=5)(["x " * 500])
    assert str(caught.value) == f"phrase: {('x ' * 30)!r} has 502 tokens; expected at most 5. Shorten it."


def test_every_id_is_below_the_vocabulary_size(ours):
    ids = set(itertools.chain.from_iterable(ours.encode(text) for text in NASTY))
    assert min(ids) >= 0
    assert max(ids) < VOCABULARY_SIZE == END + 1 == START + 2


def test_a_merge_table_has_every_token_once():
    ids, ranks = tokenizer._tables()
    assert sorted(ids.values()) == list(range(VOCABULARY_SIZE))
    assert sorted(ranks.values()) == list(range(tokenizer.MERGE_COUNT))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [("  Two\n Words ", "two words"), ("&amp;amp;", "&"), ("schÃ¶n", "schön"), ("A\x00B", "ab"), ("", "")],
)
def test_clean_text(text, cleaned):
    assert clean_text(text) == cleaned


@pytest.mark.parametrize("text", [*NASTY, *_random_texts(60)], ids=ascii)
def test_a_plain_text_has_no_more_tokens_than_letters(ours, text):
    if is_plain(text):
        assert clean_text(text) == " ".join(text.split()).lower()
        assert len(ours.encode(text)) <= len(text)


@pytest.mark.parametrize("budget", [1, 7, 30, 1000])
def test_batches_hold_every_row_once_and_keep_to_the_budget(budget):
    lengths = random.Random(budget).choices(range(2, 16), k=50)
    batches = batch_lengths(lengths, budget)
    order = list(itertools.chain.from_iterable(batches))
    assert sorted(order) == list(range(50))
    assert [lengths[row] for row in order] == sorted(lengths)
    for batch, following in itertools.zip_longest(batches, batches[1:]):
        assert len(batch) == 1 or len(batch) * lengths[batch[-1]] <= budget
        assert following is None or (len(batch) + 1) * lengths[following[0]] > budget, (
            "no batch is shorter than need be"
        )


def test_no_rows_are_no_batches():
    assert batch_lengths([], 9) == []


def test_the_merge_table_is_found_without_importing_its_package():
    assert find_merges().name == tokenizer.MERGES_FILE


@pytest.mark.parametrize("with_package", [False, True], ids=["no package", "package without the table"])
def test_a_missing_merge_table_names_the_package(monkeypatch, tmp_path, with_package):
    if with_package:
        (tmp_path / "open_clip").mkdir()
        (tmp_path / "open_clip" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "open_clip", raising=False)
    with pytest.raises(ModelError) as caught:
        find_merges()
    assert str(caught.value) == (
        "tokenizer: 'bpe_simple_vocab_16e6.txt.gz' is missing; expected it in the package open_clip_torch. "
        "Run: pip install open_clip_torch"
    )
