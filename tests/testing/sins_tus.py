"""For each check of the suite for tus, what a server does that it must catch.

Rules: one line of this table for each check; the stub that commits the sin is right otherwise.
"""

from __future__ import annotations

from tests.testing.stub import Ask, Say, Sin, asking, drop, put, status, taken_for, telling, unseen
from tests.testing.stub_tus import BODY, EXTENSIONS


def _accepts_any_offset(ask: Ask) -> None:
    if ask.upload is not None:
        ask.fields["upload-offset"] = str(len(ask.upload.data))


def _accepts_no_offset(ask: Ask) -> None:
    if "upload-offset" not in ask.fields:
        _accepts_any_offset(ask)


def _small_length(ask: Ask) -> None:
    if int(ask.fields.get("upload-length", "0")) < len(ask.upload.data):
        ask.fields.pop("upload-length", None)


def _keeps_three(ask: Ask, said: Say) -> None:
    if "upload-offset" in said.fields:
        del ask.stub.uploads[said.fields["location"]].data[3:]
        said.fields["upload-offset"] = "3"


def _starts_beyond(ask: Ask, said: Say) -> None:
    if said.fields.get("upload-offset") == "65536":
        said.fields["upload-offset"] = "65537"


def _as_double(_: Ask, said: Say) -> None:
    said.fields["upload-length"] = str(int(float(said.fields["upload-length"])))


def _refuses(*fields: str, code: int = 400) -> Sin:
    """Refuse what is right, when these fields are there."""

    def change(ask: Ask, said: Say) -> None:
        if all(name in ask.fields for name in fields):
            said.status = code

    return telling(change, was=204)


def _joined(name: str, value: str | None) -> Sin:
    """Say something else of final uploads."""

    def change(ask: Ask, said: Say) -> None:
        if said.fields.get("upload-concat", "").startswith("final"):
            said.fields.pop(name, None)
            if value is not None:
                said.fields[name] = value

    return telling(change, on="HEAD", was=200)


def _unfinished_offset(_: Ask, said: Say) -> None:
    said.fields.setdefault("upload-offset", "0")


def _when(condition: str, code: int) -> Sin:
    """Answer creations with another status when their Upload-Concat has this in it."""

    def change(ask: Ask, said: Say) -> None:
        if condition in ask.fields.get("upload-concat", ""):
            said.status = code

    return telling(change, on="POST")


def _only_finished(ask: Ask, said: Say) -> None:
    made = ask.stub.uploads.get(said.fields.get("location", ""))
    if made is not None and made.final and not made.done:
        said.status = 403


def _reversed(ask: Ask) -> None:
    concat = ask.fields.get("upload-concat", "")
    if concat.startswith("final;"):
        ask.fields["upload-concat"] = "final;" + " ".join(reversed(concat[6:].split()))


def _without_metadata(ask: Ask) -> None:
    if ask.fields.get("upload-concat", "").startswith("final"):
        ask.fields.pop("upload-metadata", None)


def _without(word: str) -> Sin:
    """Leave an extension out of the list."""
    left = ",".join(each for each in EXTENSIONS.split(",") if each != word)
    return put("tus-extension", left, on="OPTIONS")


def _refuses_empty(ask: Ask, said: Say) -> None:
    if not ask.body:
        said.status = 400


def _refuses_chunked(ask: Ask, said: Say) -> None:
    if ask.chunked:
        said.status = 411


def _wants_media_type(ask: Ask, said: Say) -> None:
    if not ask.body and ask.fields.get("content-type", BODY) != BODY:
        said.status = 415


def _looks_at_version(ask: Ask, said: Say) -> None:
    if ask.fields.get("tus-resumable", "1.0.0") != "1.0.0":
        said.status = 412


def _refuses_started(ask: Ask, said: Say) -> None:
    if ask.upload is not None and len(ask.upload.data) > len(ask.body):
        said.status = 409


def _verifies_halves(ask: Ask) -> None:
    if ask.fields.get("content-length", "0") == "100000":
        ask.fields.pop("upload-checksum", None)


def _errors_without(_: Ask, said: Say) -> None:
    if said.status >= 400:
        del said.fields["tus-resumable"]


def _never_done(_: Ask, said: Say) -> None:
    if said.fields.get("upload-offset") == said.fields.get("upload-length"):
        del said.fields["upload-offset"]


def _one_location(_: Ask, said: Say) -> None:
    said.fields["location"] = "/files/same"


def _no_bytes(_: Ask, said: Say) -> None:
    if said.fields["upload-length"] == "0":
        del said.fields["upload-length"]


def _within_maximum(ask: Ask) -> None:
    ask.fields["upload-length"] = ask.fields["upload-length"][:9]


def _forgets_length(ask: Ask) -> None:
    if "upload-length" in ask.fields:
        ask.upload.length = None


def _ignores_bad_checksum(ask: Ask) -> None:
    if len(ask.fields.get("upload-checksum", "")) < 20:
        ask.fields.pop("upload-checksum", None)


def _keeps_discarded(ask: Ask, _: Say) -> None:
    ask.upload.data += ask.body


def _lives_on(ask: Ask, _: Say) -> None:
    ask.stub.uploads[ask.path] = ask.removed


def _never_expires(ask: Ask) -> None:
    if ask.upload is not None:
        ask.upload.expires = 1e10


SINS: dict[str, Sin] = {
    "options_succeeds_and_lists_the_versions": drop("tus-version", on="OPTIONS"),
    "options_ignores_the_version_that_is_sent": telling(_looks_at_version, on="OPTIONS"),
    "options_omits_the_extensions_when_there_are_none": put("tus-extension", "", on="OPTIONS"),
    "options_tells_the_largest_size_as_a_number": put("tus-max-size", "-1", on="OPTIONS"),
    "answers_name_the_version": drop("tus-resumable", on="PATCH"),
    "refusals_name_the_version": telling(_errors_without),
    "another_version_is_answered_with_412_and_ours": status(400, was=412),
    "a_request_of_another_version_is_not_processed": taken_for("tus-resumable", "1.0.0"),
    "head_tells_the_offset_of_a_new_upload": drop("upload-offset", on="HEAD", value="0"),
    "head_tells_the_offset_of_a_part": put("upload-offset", "0", on="HEAD", was=200),
    "head_tells_the_offset_of_a_complete_upload": telling(_never_done, on="HEAD", was=200),
    "head_tells_the_length": drop("upload-length", on="HEAD"),
    "head_must_not_be_stored": put("cache-control", "no-cache", on="HEAD"),
    "head_of_a_missing_upload_has_no_offset": put("upload-offset", "0", on="HEAD", was=404),
    "patch_answers_204_with_the_new_offset": status(200, on="PATCH", was=204),
    "patch_without_bytes_keeps_the_offset": telling(_refuses_empty, on="PATCH"),
    "patch_takes_a_chunked_body": telling(_refuses_chunked, on="PATCH"),
    "patch_before_the_offset_is_a_conflict": asking(_accepts_any_offset, on="PATCH"),
    "patch_beyond_the_offset_is_a_conflict": asking(_accepts_any_offset, on="PATCH"),
    "patch_without_an_offset_changes_nothing": asking(_accepts_no_offset, on="PATCH"),
    "patch_with_an_offset_that_is_no_number_changes_nothing": taken_for(
        "upload-offset", "0", on="PATCH", when=lambda value: value == "+0"
    ),
    "patch_of_another_media_type_is_refused": taken_for("content-type", BODY, on="PATCH"),
    "patch_of_a_missing_upload_is_not_found": status(400, on="PATCH", was=404),
    "what_came_before_a_cut_is_kept": asking(lambda ask: setattr(ask, "keeps_cut", False)),
    "an_upload_goes_on_after_a_cut": telling(_starts_beyond, on="HEAD"),
    "bytes_beyond_the_length_are_not_taken": asking(lambda ask: setattr(ask, "bounded", False)),
    "the_method_can_be_overridden": unseen("x-http-method-override"),
    "the_true_method_is_ignored_when_it_is_overridden": unseen("x-http-method-override"),
    "a_creation_is_answered_with_201_and_a_location": drop("location", on="POST"),
    "two_creations_are_two_uploads": telling(_one_location, on="POST"),
    "a_creation_without_a_length_is_refused": status(201, on="POST", was=400),
    "a_creation_with_both_lengths_is_refused": unseen("upload-defer-length"),
    "a_length_that_is_no_number_is_refused": taken_for(
        "upload-length", "5", when=lambda value: value == "+5"
    ),
    "an_upload_may_have_no_bytes": telling(_no_bytes, on="HEAD", was=200),
    "a_length_beyond_2_to_the_53_is_refused_or_kept_exactly": telling(_as_double, on="HEAD"),
    "a_length_beyond_the_maximum_is_too_large": asking(_within_maximum, on="POST"),
    "head_tells_the_metadata_as_they_were_sent": put("upload-metadata", "name aGk=", on="HEAD"),
    "metadata_may_be_any_bytes_or_none": put("upload-metadata", "none", on="HEAD"),
    "head_does_not_speak_of_a_length_that_is_known": put("upload-defer-length", "1", on="HEAD"),
    "head_says_that_the_length_is_deferred": drop("upload-defer-length", on="HEAD"),
    "a_later_chunk_sets_the_length": unseen("upload-length", on="PATCH"),
    "a_chunk_without_bytes_sets_the_length": unseen("upload-length", on="PATCH"),
    "a_length_that_was_set_does_not_change": asking(_forgets_length, on="PATCH"),
    "a_length_below_the_offset_is_refused": asking(_small_length, on="PATCH"),
    "a_deferral_other_than_1_is_a_bad_request": taken_for("upload-defer-length", "1"),
    "creation_with_upload_is_offered_with_creation_only": _without("creation"),
    "a_creation_with_a_chunk_tells_its_offset": drop("upload-offset", on="POST"),
    "a_creation_takes_all_bytes_of_its_chunk": telling(_keeps_three, on="POST", was=201),
    "a_creation_with_a_chunk_goes_on_like_any_other": telling(_refuses_started, on="PATCH"),
    "a_creation_without_a_chunk_needs_no_media_type": telling(_wants_media_type, on="POST"),
    "a_creation_with_bytes_of_another_media_type_is_refused": taken_for(
        "content-type", BODY, on="POST"
    ),
    "a_creation_with_more_bytes_than_its_length_is_not_taken_whole": asking(
        lambda ask: setattr(ask, "bounded", False)
    ),
    "an_expectation_is_answered_before_the_body": Sin(mute=True),
    "options_lists_the_checksums_with_sha1": put("tus-checksum-algorithm", "md5", on="OPTIONS"),
    "checksums_have_names_without_capitals": put("tus-checksum-algorithm", "SHA1", on="OPTIONS"),
    "a_chunk_with_its_checksum_is_taken": _refuses("upload-checksum"),
    "every_listed_checksum_works": put("tus-checksum-algorithm", "sha1,sha512", on="OPTIONS"),
    "a_chunk_with_another_checksum_is_discarded": unseen("upload-checksum"),
    "a_mismatch_is_answered_with_460": status(409, was=460),
    "a_chunk_with_an_unknown_checksum_is_discarded": unseen("upload-checksum"),
    "an_unknown_checksum_is_a_bad_request": status(422, on="PATCH", was=400),
    "a_checksum_that_cannot_be_read_is_refused": asking(_ignores_bad_checksum),
    "a_chunk_that_is_cut_is_not_verified": asking(_verifies_halves, on="PATCH"),
    "a_chunk_with_its_checksum_behind_it_is_taken": _refuses("trailer"),
    "a_chunk_with_another_checksum_behind_it_is_discarded": unseen("trailer"),
    "a_chunk_with_an_unknown_checksum_behind_it_is_discarded": unseen("trailer"),
    "a_mismatch_behind_the_chunk_is_answered_with_460": status(409, was=460),
    "a_discarded_chunk_can_be_sent_again": telling(_keeps_discarded, on="PATCH", was=460),
    "a_checksum_that_was_announced_and_does_not_come_is_missed": unseen("trailer"),
    "a_chunk_that_is_cut_before_its_checksum_is_discarded": unseen("trailer"),
    "a_creation_has_its_checksum_behind_its_chunk": unseen("trailer", on="POST"),
    "every_chunk_of_an_upload_that_expires_tells_when": drop("upload-expires", on="PATCH"),
    "a_creation_tells_when_the_upload_expires": drop("upload-expires", on="POST"),
    "the_expiration_is_a_date_of_http": put("upload-expires", "2999-01-01T00:00:00Z"),
    "an_expired_upload_is_gone": asking(_never_expires),
    "an_upload_under_way_can_be_terminated": status(200, on="DELETE", was=204),
    "a_complete_upload_can_be_terminated": status(403, on="DELETE", was=204),
    "a_terminated_upload_is_not_found": telling(_lives_on, on="DELETE", was=204),
    "a_termination_can_be_asked_for_by_post": unseen("x-http-method-override"),
    "a_part_says_that_it_is_one": drop("upload-concat", on="HEAD"),
    "a_part_tells_its_offset": drop("upload-offset", on="HEAD"),
    "parts_are_joined": _joined("upload-length", "5"),
    "parts_are_joined_in_the_order_of_the_list": asking(_reversed, on="POST"),
    "parts_may_be_named_by_absolute_urls": _when("http", 400),
    "a_final_upload_tells_what_it_was_made_of": _joined("upload-concat", "final;"),
    "a_final_upload_takes_no_chunks": status(404, on="PATCH", was=403),
    "a_final_upload_does_not_inherit_metadata": _joined("upload-metadata", "mine aGk="),
    "a_final_upload_has_its_own_metadata": asking(_without_metadata, on="POST"),
    "a_final_upload_of_missing_parts_is_refused": _when("final", 201),
    "unfinished_parts_are_joined_only_where_that_is_offered": _without("concatenation-unfinished"),
    "unfinished_parts_can_be_joined": telling(_only_finished, on="POST"),
    "the_length_of_unfinished_parts_is_told": _joined("upload-length", None),
    "no_offset_is_told_before_the_parts_are_joined": telling(_unfinished_offset, on="HEAD"),
}
