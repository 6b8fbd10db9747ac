//! What [`Sink`](tidegate::sink::Sink) promises, checked on every sink by the same cases.
//!
//! A new sink is one file in `beds/` and one line here.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

#[path = "../common/mod.rs"]
mod common;

mod beds;
mod cases;
mod help;

/// Makes every case a test of its own for one bed.
macro_rules! contract {
    ($sink:ident, $bed:ty) => {
        mod $sink {
            #[allow(unused_imports, reason = "a bed is named by its type alone or below `beds`")]
            use crate::beds::*;

            crate::contract!(@cases $bed;
                basics: commit_makes_visible, nothing_is_visible_before_commit, abort_leaves_nothing, drop_shows_nothing,
                    an_empty_file, sizes_around_the_parts, many_tiny_chunks, names_are_kept_as_they_are,
                    stat_of_nothing, stat_answers_with_the_receipt, probe_finds_no_problem, notes_arrive;
                refusals: a_wrong_size, a_wrong_digest_announced, a_wrong_digest_claimed, a_large_file_with_a_wrong_digest,
                    one_writer_an_upload, free_again_after_abort;
                conflicts: reject_keeps_what_stands, overwrite_replaces, version_stands_beside, the_same_content_is_kept_once,
                    the_same_upload_again, large_files_conflict_too, versions_of_odd_names,
                    found_again_behind_a_gap;
                resumes: goes_on_where_it_was_suspended, goes_on_from_its_last_checkpoint, goes_on_at_another_node,
                    nothing_is_resumed_of_another_upload, nothing_is_resumed_that_is_longer_than_announced,
                    what_was_announced_holds_to_the_end, staged_anew_begins_at_zero, kept_is_invisible_until_committed,
                    swept_when_nobody_comes_back, a_sweep_leaves_alone_what_is_in_use, nothing_is_kept_of_who_can_not_come_back,
                    a_broken_beginning_is_not_committed, one_at_a_time_goes_on, the_verdict_is_kept;
                quarantine: it_is_kept_where_nobody_sees_it, the_same_is_kept_once, what_was_not_announced_is_not_kept,
                    what_is_valid_goes_where_it_belongs, given_up_it_leaves_nothing, a_sweep_leaves_it_alone,
                    an_invalid_file_is_refused_and_kept, an_invalid_file_is_let_pass,
                    an_invalid_file_that_is_cut_off_is_neither;
                races: one_of_many_wins, every_version_is_kept, the_same_content_at_once, large_files_at_once,
                    the_same_large_file_at_once;
            );
        }
    };
    // Of names that are also folders, and of names that are cut for their number: stores that tell
    // files from folders.
    (folders $sink:ident, $bed:ty) => {
        mod $sink {
            #[allow(unused_imports, reason = "a bed is named by its type alone or below `beds`")]
            use crate::beds::*;

            crate::contract!(@cases $bed;
                folders: no_file_takes_the_place_of_a_folder, no_folder_takes_the_place_of_a_file,
                    a_version_goes_beside_what_is_in_its_way, large_files_are_in_the_way_too,
                    a_name_that_was_refused_leaves_the_way_free, files_and_folders_at_once;
                names: long_names_have_versions_too, what_lies_below_a_long_name_has_a_place_beside_it,
                    long_names_that_are_cut_to_the_same_share_their_numbers, every_name_has_the_place_that_a_model_says;
            );
        }
    };
    (@cases $bed:ty; $($room:ident: $($case:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(bed) = <$bed as crate::beds::Bed>::open().await {
                    crate::cases::$room::$case(&bed).await;
                }
            }
        )+)+
    };
}
pub(crate) use contract;

contract!(memory, MemoryBed);
contract!(fs, FsBed);
contract!(s3_in_process, InProcessBed);
contract!(s3_minio, MinioBed);
contract!(validated_memory, ValidatedBed<MemoryBed>);
contract!(validated_fs, ValidatedBed<FsBed>);
contract!(validated_s3_in_process, ValidatedBed<InProcessBed>);
contract!(validated_s3_minio, ValidatedBed<MinioBed>);

// Not of the store in process, which keeps and lists a file and a folder of one name.
contract!(folders memory_folders, MemoryBed);
contract!(folders fs_folders, FsBed);
contract!(folders s3_minio_folders, MinioBed);
contract!(folders validated_fs_folders, ValidatedBed<FsBed>);
