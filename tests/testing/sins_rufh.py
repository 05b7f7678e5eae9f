"""For each check of the suite for Resumable Uploads, what a server does that it must catch.

Rules: one line of this table for each check; the stub that commits the sin is right otherwise, and
speaks the newest version, or the one that NOT_THE_NEWEST names.
"""

from __future__ import annotations

import time

from tests.testing.stub import Ask, Say, Sin, asking, drop, put, status, taken_for, telling, unseen

STATE = "upload-complete"
OLD = "upload-incomplete"
PATCH_TYPE = "application/partial-upload"

# check -> the version in which its sin is committed
NOT_THE_NEWEST = {
    "a_part_is_answered_as_incomplete": 3,
    "a_creation_tells_the_offset": 3,
    "head_of_nothing_is_not_found": 3,
    "head_with_fields_of_the_upload_is_a_bad_request": 3,
    "an_append_tells_the_offset": 3,
    "the_last_answer_does_not_say_incomplete": 3,
    "a_cancellation_is_answered_with_204": 3,
    "a_cancellation_with_fields_of_the_upload_is_a_bad_request": 3,
    "options_tells_the_limits": 6,
}


def _elsewhere(ask: Ask) -> None:
    if ask.upload is not None:
        ask.fields["upload-offset"] = str(len(ask.upload.data))


def _elsewhere_if_none(ask: Ask) -> None:
    if "upload-offset" not in ask.fields:
        _elsewhere(ask)


def _readable(ask: Ask) -> None:
    ask.fields["upload-offset"] = ask.fields["upload-offset"].split(".")[0]


def _alone(ask: Ask) -> None:
    ask.takes_over = False


def _free_for_all(ask: Ask) -> None:
    ask.takes_over = False
    _elsewhere(ask)


def _deaf_then_last(ask: Ask) -> None:
    """What is under way is not ended, and late bytes are appended wherever the end is."""
    ask.takes_over = False


def _drops_cut(ask: Ask) -> None:
    ask.keeps_cut = False


def _unbounded(ask: Ask) -> None:
    ask.bounded = False


def _completed_by_length(ask: Ask, said: Say) -> None:
    if said.fields.get("upload-offset") == said.fields.get("upload-length", "5"):
        said.fields[STATE] = "?1"


def _no_interim(ask: Ask, said: Say) -> None:
    said.status = 200 if said.status == 104 else said.status


def _first_location(value: str | None) -> Sin:
    def change(ask: Ask, said: Say) -> None:
        if "location" in said.fields:
            del said.fields["location"]
            if value is not None:
                said.fields["location"] = value

    return telling(change, on="POST", was=104)


def _announces_late(ask: Ask, said: Say) -> None:
    time.sleep(1.5)


def _always_announces(ask: Ask, said: Say) -> None:
    if ask.interims == 0:
        ask.interim(104, {"location": "/files/any", "upload-draft-interop-version": "8"})


def _spoken(ask: Ask) -> None:
    ask.fields["upload-draft-interop-version"] = "8"


def _always_upload(ask: Ask) -> None:
    ask.fields.setdefault(STATE, "?1")


def _reads_booleans(ask: Ask) -> None:
    if ask.fields.get(STATE) == "1":
        ask.fields[STATE] = "?1"


def _counts_less(_: Ask, said: Say) -> None:
    offset = int(said.fields.get("upload-offset", "0"))
    if offset >= 65_536:
        said.fields["upload-offset"] = str(offset - 1)


def _decodes(_: Ask, said: Say) -> None:
    offset = int(said.fields.get("upload-offset", "0"))
    if 5 < offset < 65_536:
        said.fields["upload-offset"] = "65536"


def _shrinks(ask: Ask, said: Say) -> None:
    offset = int(said.fields.get("upload-offset", "0"))
    if offset > 9:
        said.fields["upload-offset"] = "5"


def _stale(_: Ask, said: Say) -> None:
    if said.fields.get("upload-offset") == "65536":
        said.fields["upload-offset"] = "0"


def _on_empty(code: int) -> Sin:
    def change(ask: Ask, said: Say) -> None:
        if ask.fields.get("content-length") == "0":
            said.status = code

    return telling(change, was=0)


def _on_chunked(ask: Ask, said: Say) -> None:
    if ask.chunked:
        said.status = 411


def _last(change_to: int) -> Sin:
    """Answer a last append with another status."""

    def change(ask: Ask, said: Say) -> None:
        if ask.fields.get(STATE) == "?1":
            said.status = change_to

    return telling(change, on="PATCH", was=200)


def _reopens(ask: Ask) -> None:
    if ask.upload is not None:
        ask.upload.complete = False
        ask.upload.length = None


def _forgets_length(ask: Ask) -> None:
    if ask.upload is not None:
        ask.upload.length = None


def _validates_again(ask: Ask) -> None:
    if ask.upload is not None:
        ask.upload.invalid = False


def _completes_when_cut(ask: Ask) -> None:
    if ask.upload is not None:
        ask.upload.complete = bool(ask.upload.data) and len(ask.upload.data) != 5


def _loses_when_complete(ask: Ask, said: Say) -> None:
    if said.fields.get(STATE) == "?1":
        said.status = 404


def _never_complete(_: Ask, said: Say) -> None:
    if STATE in said.fields:
        said.fields[STATE] = "?0"


def _other_problem(kind: str) -> Sin:
    def change(_: Ask, said: Say) -> None:
        said.body = (
            b'{"type": "https://iana.org/assignments/http-problem-types#%b"}' % kind.encode()
        )

    return telling(change, was=400)


def _swapped(_: Ask, said: Say) -> None:
    said.body = said.body.replace(b"expected", b"x").replace(b"provided", b"expected")


def _strict_minimum(ask: Ask, said: Say) -> None:
    if int(ask.fields.get("content-length", "0")) < 6:
        said.status = 400


def _says_nothing_of_413(_: Ask, said: Say) -> None:
    said.fields.pop("upload-limit", None)


def _same(_: Ask, said: Say) -> None:
    said.fields["location"] = "/files/same"
    said.status = 201


def _keeps_on_delete(ask: Ask) -> None:
    """Say that it is cancelled, and do nothing."""
    if ask.method == "DELETE":
        ask.method = "OPTIONS"


TIGHT = "max-size=10, max-age=3600"

SINS: dict[str, Sin] = {
    "a_part_is_answered_with_the_location_of_the_rest": drop("location", on="POST", was=201),
    "a_part_is_answered_with_201": status(200, on="POST", was=201),
    "a_part_is_answered_as_incomplete": drop(OLD, on="POST", was=201),
    "a_creation_tells_the_offset": drop("upload-offset", on="POST", was=201),
    "a_creation_may_have_no_content": _on_empty(400),
    "whole_content_is_processed": status(404, on="POST", was=200),
    "an_empty_representation_is_processed": _on_empty(400),
    "each_creation_has_a_uri_of_its_own": telling(_same, on="POST", was=201),
    "a_length_that_is_sent_is_recorded": unseen("upload-length", on="POST"),
    "lengths_of_one_creation_that_differ_are_refused": unseen("upload-length", on="POST"),
    "a_completeness_that_is_no_boolean_is_ignored": asking(_reads_booleans, on="POST"),
    "a_chunked_creation_counts_what_the_chunks_hold": telling(_counts_less, on="HEAD"),
    "a_content_coding_is_part_of_the_content": telling(_decodes, on="HEAD"),
    "a_creation_that_is_cut_is_not_complete": put(STATE, "?1", on="HEAD"),
    "a_creation_that_is_cut_keeps_what_came": asking(_drops_cut),
    "a_complete_creation_that_is_cut_has_a_length": drop("upload-length", on="HEAD"),
    "a_creation_is_announced_before_its_content": telling(_announces_late, on="POST", was=104),
    "an_announcement_has_a_location": _first_location(None),
    "all_answers_to_a_creation_have_one_location": _first_location("/files/other"),
    "an_announcement_has_the_interop_version": drop("upload-draft-interop-version", was=104),
    "no_104_is_sent_without_an_interop_version": asking(_spoken),
    "no_104_is_sent_for_another_interop_version": asking(_spoken),
    "a_plain_request_gets_no_104": asking(_always_upload, on="POST"),
    "an_announcement_has_the_limits": drop("upload-limit", was=104),
    "a_104_does_not_replace_a_100": Sin(mute=True),
    "head_tells_offset_and_completeness": drop(STATE, on="HEAD"),
    "head_of_a_complete_upload_says_so": telling(_never_complete, on="HEAD"),
    "a_complete_upload_stays_for_a_while": telling(_loses_when_complete, on="HEAD"),
    "head_does_not_invent_a_length": put("upload-length", "5", on="HEAD"),
    "the_length_does_not_complete_an_upload": telling(_completed_by_length, on="HEAD"),
    "head_should_not_be_stored": put("cache-control", "no-cache", on="HEAD"),
    "head_tells_the_limits": drop("upload-limit", on="HEAD"),
    "head_of_nothing_is_not_found": status(400, on="HEAD", was=404),
    "nothing_is_told_of_an_upload_that_is_none": put("upload-offset", "0", on="HEAD", was=404),
    "head_with_fields_of_the_upload_is_a_bad_request": unseen("upload-offset", on="HEAD"),
    "an_append_succeeds_and_counts": telling(
        lambda ask, said: said.fields.update({"upload-offset": "5"}), on="HEAD"
    ),
    "an_append_that_does_not_complete_says_so": drop(STATE, on="PATCH"),
    "an_append_tells_the_offset": drop("upload-offset", on="PATCH"),
    "an_append_may_be_empty": _on_empty(400),
    "a_chunked_append_counts_what_the_chunks_hold": telling(_counts_less, on="HEAD"),
    "an_append_before_the_offset_is_a_conflict": asking(_elsewhere, on="PATCH"),
    "an_append_beyond_the_offset_is_a_conflict": asking(_elsewhere, on="PATCH"),
    "a_conflict_tells_the_offset": drop("upload-offset", was=409),
    "an_append_without_an_offset_changes_nothing": asking(_elsewhere_if_none, on="PATCH"),
    "an_offset_that_is_no_integer_changes_nothing": asking(_readable, on="PATCH"),
    "an_append_of_another_media_type_is_refused": taken_for("content-type", PATCH_TYPE),
    "an_append_that_is_cut_keeps_what_came": asking(_drops_cut),
    "a_last_append_that_is_cut_does_not_complete": asking(_completes_when_cut, on="HEAD"),
    "an_upload_goes_on_where_it_was_cut": telling(_stale, on="HEAD"),
    "the_offset_never_decreases": telling(_shrinks, on="HEAD"),
    "the_last_append_completes": _last(404),
    "the_last_answer_says_complete": drop(STATE, on="PATCH", was=200),
    "the_last_answer_does_not_say_incomplete": put(OLD, "?1", on="PATCH", was=200),
    "an_empty_append_completes": _on_empty(400),
    "a_chunked_append_completes": telling(_on_chunked, on="PATCH"),
    "the_last_answer_is_that_of_the_target": _last(204),
    "a_complete_upload_takes_nothing_more": asking(_reopens, on="PATCH"),
    "a_last_append_of_another_length_is_refused": asking(_forgets_length, on="PATCH"),
    "another_length_is_refused": unseen("upload-length", on="PATCH"),
    "a_length_that_comes_with_an_append_is_recorded": unseen("upload-length", on="PATCH"),
    "the_offset_does_not_exceed_the_length": asking(_unbounded),
    "an_upload_that_exceeded_its_length_is_invalid": asking(_validates_again, on="HEAD"),
    "options_tells_the_limits": drop("upload-limit", on="OPTIONS"),
    "options_names_the_media_type": put("accept-patch", "application/*", on="OPTIONS"),
    "options_should_tell_the_limits": drop("upload-limit", on="OPTIONS"),
    "limits_are_a_dictionary_of_integers": put("upload-limit", 'max-size="9"', on="HEAD"),
    "an_upload_has_no_tighter_limits_than_options_said": put("upload-limit", TIGHT, on="HEAD"),
    "limits_do_not_tighten_while_an_upload_lives": put("upload-limit", TIGHT, on="HEAD"),
    "too_large_an_upload_is_told_the_limits": telling(_says_nothing_of_413, was=413),
    "the_last_append_may_be_small": telling(_strict_minimum, on="PATCH"),
    "the_problem_of_a_conflict_has_both_offsets": telling(_swapped, was=409),
    "the_problem_of_a_complete_upload_says_so": _other_problem("mismatching-upload-offset"),
    "the_problem_of_lengths_that_differ_says_so": _other_problem("completed-upload"),
    "an_append_with_its_digest_is_taken": telling(
        lambda ask, said: setattr(said, "status", 400 if "content-digest" in ask.fields else 204),
        on="PATCH",
    ),
    "an_append_with_another_digest_is_not_appended": unseen("content-digest"),
    "a_representation_with_its_digest_completes": _last(400),
    "a_representation_with_another_digest_fails": unseen("repr-digest"),
    "a_digest_that_is_wanted_is_told": unseen("want-repr-digest"),
    "a_cancellation_is_answered_with_204": status(200, on="DELETE", was=204),
    "an_upload_can_be_cancelled": asking(_keeps_on_delete),
    "a_cancelled_upload_takes_nothing_more": asking(_keeps_on_delete),
    "a_cancellation_with_fields_of_the_upload_is_a_bad_request": unseen(OLD, on="DELETE"),
    "a_cancellation_ends_what_is_under_way": asking(_alone),
    "an_offset_told_while_an_append_stalls_is_accepted": telling(_stale, on="HEAD"),
    "bytes_that_come_late_are_not_appended": asking(_deaf_then_last),
    "a_newcomer_ends_an_append_that_stalls": asking(_alone),
    "what_came_of_an_append_that_stalls_is_kept": asking(_drops_cut),
    "of_appends_at_one_offset_one_counts": asking(_free_for_all, on="PATCH"),
    "an_append_tells_its_progress": telling(_no_interim, on="PATCH"),
    "progress_has_no_location": put("location", "/files/x", on="PATCH", was=104),
    "progress_is_never_more_than_was_sent": put("upload-offset", "9999999", on="PATCH", was=104),
}
