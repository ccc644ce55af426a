import json

from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.values import ItemRef, Validators
from intelforge.ingest.batch import PART_BYTES, PART_ITEMS, UNKNOWN_BYTES, decode, encode, parts

NUMBERS = st.none() | st.integers(0, 2**40)
STRINGS = st.none() | st.text(max_size=10)
VALIDATORS = st.builds(
    Validators, size=NUMBERS, mtime_ns=NUMBERS, etag=STRINGS, last_modified=STRINGS, revision=STRINGS
)
REFS = st.builds(ItemRef, uri=st.text(min_size=1, max_size=20), validators=VALIDATORS)


@given(ref=REFS)
def test_a_reference_survives_its_way_through_the_queue(ref: ItemRef) -> None:
    assert decode(json.loads(json.dumps(encode(ref)))) == ref


@given(sizes=st.lists(st.none() | st.integers(0, 3 * PART_BYTES), max_size=200))
def test_parts_hold_everything_in_order_and_little_at_a_time(sizes: list[int | None]) -> None:
    refs = [ItemRef(uri=str(n), validators=Validators(size=size)) for n, size in enumerate(sizes)]
    cut = list(parts(refs))
    assert [ref for part in cut for ref in part] == refs
    for part in cut:
        assert 0 < len(part) <= PART_ITEMS
        taken = sum(UNKNOWN_BYTES if ref.validators.size is None else ref.validators.size for ref in part)
        assert len(part) == 1 or taken <= PART_BYTES
