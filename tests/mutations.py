#!/usr/bin/env python3
"""Takes the steps that durability stands on out of the source, one at a time, and sees a named test fail.

    tests/mutations.py             tries all of them, in a copy of the committed tree; takes some minutes
    tests/mutations.py fs          only those whose names begin so
    tests/mutations.py --check     only looks whether each one still finds what it would take out

A mutation that no test notices is a step that nothing holds in place. Those of the bucket need a MinIO (TIDEGATE_MINIO, or
`minio` on the PATH). What fails only where threads meet in a certain order is tried more often here than in CI.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
from typing import NamedTuple


class Mutation(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    test: str  # what `cargo test` is given; a part of the name of each test that must fail comes last


MUTATIONS = [
    Mutation(
        "disk: the file is flushed before it is renamed",
        "src/sink/fs/commit.rs",
        '        self.promise(file, Loses::Upload, &format!("{:?}", spec.key.as_str()))?;\n',
        '',
        "--lib every_receipt_survives_a_crash_at_every_operation",
    ),
    Mutation(
        "disk: the folder is flushed before the receipt",
        "src/sink/fs/commit.rs",
        '        self.promise(&folder, Loses::Names, &format!("the folder of {:?}", place.key().as_str())).map_err(|error| {',
        '        Ok(()).map_err(|error: Error| {',
        "--lib every_receipt_survives_a_crash_at_every_operation",
    ),
    Mutation(
        "disk: a new folder is flushed into its parent",
        "src/sink/fs/tree.rs",
        "                flush(&folder.handle).map_err(NoFolder::NotFlushed)?;",
        "                let _ = (&flush, NoFolder::NotFlushed);",
        "--lib every_receipt_survives_a_crash_at_every_operation",
    ),
    Mutation(
        "disk: the reserved folders are flushed",
        "src/sink/fs/tree.rs",
        "    disk.flush(parent)?;",
        "",
        "--lib every_receipt_survives_a_crash_at_every_operation",
    ),
    Mutation(
        "disk: who flushed well waits until it is known of those beside it",
        "src/sink/fs/flusher.rs",
        "        while line.is_unsure_of(thing, begun) {\n",
        "        while false && line.is_unsure_of(thing, begun) {\n",
        "--lib every_receipt_survives_a_flush_that_fails_among_many_commits",
    ),
    Mutation(
        "disk: a flush that failed is known before it counts as over",
        "src/sink/fs.rs",
        "            if loses.all(*errno) {\n",
        "            if false && loses.all(*errno) {\n",
        "--lib every_receipt_survives_a_flush_that_fails_among_many_commits",
    ),
    Mutation(
        "disk: an upload whose flush beside its writes has failed fails",
        "src/sink/fs/staged.rs",
        "            Ok(job) => (Some(job), flushed),\n",
        "            Ok(job) => (Some(job), flushed.or(Ok(()))),\n",
        "--lib every_failure_of_the_disk_is_told_and_leaves_nothing_partial",
    ),
    Mutation(
        "disk: nothing is said to be kept once a flush has failed",
        "src/sink/fs.rs",
        "        self.broken.get().map_or(Ok(()), |why| {\n",
        "        None::<&String>.map_or(Ok(()), |why| {\n",
        "--lib every_upload_that_was_kept_survives_a_flush_that_fails_among_many",
    ),
    Mutation(
        "disk: what makes a duplicate is flushed before it is answered",
        "src/sink/fs/commit.rs",
        "            self.promise_standing(folder, &file, place.key())?;",
        "",
        "--lib what_a_killed_server_left_is_flushed_before_it_is_answered",
    ),
    Mutation(
        "disk: what is told to be committed is flushed",
        "src/sink/fs.rs",
        "                    shared.promise_standing(&folder, &file, &key)?;",
        "                    let _ = &folder;",
        "--lib what_a_killed_server_left_is_flushed_before_it_is_answered",
    ),
    Mutation(
        "disk: nothing is renamed over what stands",
        "src/sink/fs/disk.rs",
        "RenameFlags::NOREPLACE)",
        "RenameFlags::empty())",
        "--test contract fs::reject_keeps_what_stands",
    ),
    Mutation(
        "disk: bytes are flushed before the checkpoint that names their offset",
        "src/sink/fs/checkpoint.rs",
        '        self.flush(file, Loses::Upload, &format!("{:?}", spec.key.as_str()))?;\n',
        '',
        "--lib every_receipt_survives_a_crash_at_every_operation",
    ),
    Mutation(
        "disk: the staged name is flushed before its first checkpoint",
        "src/sink/fs/checkpoint.rs",
        'Err(Errno::NOENT) => self.flush(&self.staging, Loses::Names, "the folder of what is staged")?,',
        'Err(Errno::NOENT) => {}',
        "--lib every_receipt_survives_a_crash_at_every_operation",
    ),
    Mutation(
        "disk: a checkpoint is flushed before it takes its place",
        "src/sink/fs/checkpoint.rs",
        '        self.flush(&file, Loses::Upload, &format!("the checkpoint of {:?}", spec.key.as_str()))\n',
        '        Ok(())\n',
        "--lib every_receipt_survives_a_crash_at_every_operation",
    ),
    Mutation(
        "disk: the place of a checkpoint is flushed",
        "src/sink/fs/checkpoint.rs",
        '        self.disk.rename(&self.resume, &draft, &self.resume, id).map_err(failed)?;\n        self.flush(&self.resume, Loses::Names, "the folder of what can be resumed")',
        '        self.disk.rename(&self.resume, &draft, &self.resume, id).map_err(failed)',
        "--lib every_receipt_survives_a_crash_at_every_operation",
    ),
    Mutation(
        "disk: a checkpoint is removed durably",
        "src/sink/fs/checkpoint.rs",
        '        if forgotten { self.flush(&self.resume, Loses::Names, "the folder of what can be resumed") } else { Ok(()) }',
        '        let _ = forgotten;\n        Ok(())',
        "--lib the_checkpoint_of_what_was_given_up_never_comes_back",
    ),
    Mutation(
        "disk: bytes behind a checkpoint are cut off",
        "src/sink/fs/job.rs",
        "        shared.disk.truncate(&file, offset).map_err(failed)?;",
        "",
        "--lib bytes_behind_the_checkpoint_are_cut_off",
    ),
    Mutation(
        "disk: an upload that is kept has its place from the start",
        "src/sink/fs/job.rs",
        "        self.spec.when_cut == WhenCut::Drop && is_small",
        "        is_small",
        "--test fs what_was_kept_is_gone_when_an_upload_begins_anew",
    ),
    Mutation(
        "disk: a checkpoint is of one staged file",
        "src/sink/fs/checkpoint.rs",
        "stat.identity.1 == checkpoint.file && ",
        "",
        "--lib a_checkpoint_of_another_file_counts_as_none",
    ),
    Mutation(
        "disk: a staged file with two names is committed",
        "src/sink/fs/checkpoint.rs",
        "stat.has_one_name && ",
        "",
        "--lib a_checkpoint_of_another_file_counts_as_none",
    ),
    Mutation(
        "disk: after a flush that failed, nothing is taken",
        "src/sink/fs.rs",
        "        self.broken.get_or_init(|| {\n",
        "        OnceLock::new().get_or_init(|| {\n",
        "--lib every_failure_of_the_disk_is_told_and_leaves_nothing_partial",
    ),
    Mutation(
        "disk: an error of a shared flush is final for all who come after",
        "src/sink/fs.rs",
        '.inspect_err(|errno| self.close("everything", *errno))',
        "",
        "--lib every_receipt_survives_a_flush_that_fails_among_many_commits",
    ),
    Mutation(
        "bucket: a file that fits one request replaces nothing",
        "src/sink/object/commit.rs",
        "PutMode::Overwrite } else { PutMode::Create };",
        "PutMode::Overwrite } else { PutMode::Overwrite };",
        "--test contract s3_minio::reject_keeps_what_stands",
    ),
    Mutation(
        "bucket: a multipart upload replaces nothing",
        "src/sink/object/parts.rs",
        "            Completion::Create => creating,",
        "            Completion::Create => [creating, plain][1],",
        "--test contract s3_minio::large_files_conflict_too",
    ),
    Mutation(
        "bucket: what is written down is written once",
        "src/sink/object/manifest.rs",
        "Attributes::new(), PutMode::Create).await else {",
        "Attributes::new(), PutMode::Overwrite).await else {",
        "--lib of_two_nodes_that_begin_one_upload_the_second_is_told",
    ),
    Mutation(
        "bucket: of two nodes with other bytes one stops",
        "src/sink/object/manifest.rs",
        "        if standing.saved.tally != record.saved.tally {",
        "        if false {",
        "--lib a_node_that_was_overtaken_with_other_bytes_stops_and_removes_nothing",
    ),
    Mutation(
        "bucket: who was overtaken removes nothing",
        "src/sink/object/parts.rs",
        "        if self.fate == Fate::Ceded {",
        "        if false {",
        "--lib a_node_that_was_overtaken_with_other_bytes_stops_and_removes_nothing",
    ),
    Mutation(
        "bucket: a receipt for other bytes is not completed",
        "src/sink/object/large.rs",
        "        if (standing.size, standing.digest) == (receipt.size, receipt.digest) {",
        "        if true {",
        "--lib a_receipt_noted_for_other_bytes_is_not_completed",
    ),
    Mutation(
        "bucket: the record of what stands stays",
        "src/sink/object/large.rs",
        "            Ok(true) => {}\n            Ok(false) => self.remote.remove_record(&self.record).await,",
        "            Ok(_) => self.remote.remove_record(&self.record).await,",
        "--lib who_has_other_bytes_leaves_the_record_of_what_stands",
    ),
    Mutation(
        "bucket: a multipart upload that is gone is told from one that failed",
        "src/sink/object/sending.rs",
        "let fate = if is_gone(&error) {",
        "let fate = if is_gone(&error) && false {",
        "--lib a_node_that_comes_too_late_with_the_same_bytes_has_the_same_receipt",
    ),
    Mutation(
        "bucket: who goes on with an upload keeps it young",
        "src/sink/object/resume.rs",
        "    journal.touch().await?;",
        "",
        "--lib an_upload_that_somebody_went_on_with_is_young",
    ),
    Mutation(
        "bucket: what lies behind a gap is removed",
        "src/sink/object/resume.rs",
        "    remote.remove_all(beyond(&names, run.parts.len())).await?;",
        "    drop(beyond(&names, run.parts.len()));",
        "--lib what_lies_behind_a_gap_is_not_in_the_way_of_other_bytes",
    ),
    Mutation(
        "bucket: a tail goes on where the parts end",
        "src/sink/object/resume.rs",
        "        if tally == saved.tally {",
        "        if true {",
        "--lib a_tail_that_does_not_belong_to_the_parts_is_passed_over",
    ),
    Mutation(
        "bucket: the sweep leaves the records of living uploads",
        "src/sink/object/sweep.rs",
        "!uploads.contains_key(&record.id) && !self.writers.holds(&record.id)",
        "!self.writers.holds(&record.id)",
        "--lib the_record_of_an_upload_that_is_alive_stays",
    ),
    Mutation(
        "bucket: every version of the same size is compared",
        "src/sink/object/versions.rs",
        "            if size == place.size() && own",
        "            if size != place.size() && own",
        "--lib the_same_content_is_found_behind_a_gap_of_any_width",
    ),
    Mutation(
        "bucket: versions are listed to the end",
        "src/sink/object/versions.rs",
        "            if next.is_none() {",
        "            if next.is_none() || true {",
        "--lib more_versions_than_one_page_lists_are_all_seen",
    ),
    Mutation(
        "bucket: what is not signed has a checksum",
        "src/sink/object/s3.rs",
        ".with_checksum_algorithm(Checksum::CRC64NVME)",
        "",
        "--test faulty_store minio_that_gets_other_bytes",
    ),
    Mutation(
        "bucket: the parts of an upload come in the way in which it was opened",
        "src/sink/object/parts.rs",
        "            integrity: manifest.integrity,\n",
        "            integrity: remote.integrity(),\n",
        "--lib all_parts_of_an_upload_come_in_the_way_in_which_it_was_opened",
    ),
    Mutation(
        "bucket: a request that may still come is sent again to the same place",
        "src/sink/object/commit.rs",
        "match self.tried.take() {",
        "match self.tried.take().filter(|_| false) {",
        "--lib what_may_still_be_stored_at_one_version_is_stored_at_no_other",
    ),
    Mutation(
        "bucket: what may still come is told, whatever is answered later",
        "src/sink/object/commit.rs",
        "                self.uncertain = true;\n",
        "",
        "--lib what_may_still_be_stored_is_unknown_whatever_is_answered_later",
    ),
    Mutation(
        "bucket: beside a request that may still come nothing is stored",
        "src/sink/object/commit.rs",
        "Step::Next if self.uncertain =>",
        "Step::Next if self.uncertain && false =>",
        "--lib who_was_overtaken_where_a_request_may_still_come_goes_nowhere_else",
    ),
    Mutation(
        "plain: another protocol is told apart before its first line is a header",
        "src/wire/plain/header.rs",
        "if let Some(protocol) = other_protocol(view.window)",
        "if let Some(protocol) = other_protocol(view.window).filter(|_| false)",
        "--test server another_protocol_leaves_a_counter_and_no_file",
    ),
    Mutation(
        "plain: a header that ends with the stream is no empty file",
        "src/wire/plain/header.rs",
        "        Decoded::Incomplete if view.has_ended() => {",
        "        Decoded::Incomplete if view.has_ended() && false => {",
        "--test server a_header_that_stalls_and_ends_is_no_file",
    ),
    Mutation(
        "plain: content glued to a name is refused",
        "src/wire/plain/header.rs",
        "_ => runs_on_behind_extension(name) && !(is_packet",
        "_ => false && runs_on_behind_extension(name) && !(is_packet",
        "--test server content_that_is_glued_to_a_name_is_stored_right_or_refused",
    ),
    Mutation(
        "plain: a first packet that no extension ends is no name",
        "src/wire/plain/header.rs",
        "            (true, true) | (false, false) => self.separated(separator, Unsized::Ambiguous),",
        "            (true, true) | (false, false) => self.separated(separator, Unsized::Possible),",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: a count that two readings fit proves neither",
        "src/wire/plain/count.rs",
        "found.next().filter(|_| found.next().is_none())",
        "found.next()",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: a count does not prove a size where the first packet proves that there is none",
        "src/wire/plain/count.rs",
        "return if is_contradicted {",
        "return if is_contradicted && false {",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: too many bytes disprove a size",
        "src/wire/plain/count.rs",
        "            Evidence::Disproved\n        } else if line == LineState::Open {",
        "            Evidence::Proved\n        } else if line == LineState::Open {",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: a line that is slow is not cut short by a size that its bytes happen to match",
        "src/wire/plain/count.rs",
        "let is_slow = self.line == LineState::Quiet && !rivals.silence_proves;",
        "let is_slow = false;",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: a demanded size is demanded",
        "src/wire/plain/header.rs",
        "        self.options.require_size || self.previous.is_some()",
        "        self.previous.is_some()",
        "--test server sizes_can_be_demanded_or_excluded",
    ),
    Mutation(
        "plain: a further file must be named as files are",
        "src/wire/plain/next.rs",
        "                Self::After(previous) => has_expected_extension(previous),",
        "                Self::After(_) => true,",
        "--test server what_follows_a_file_and_is_no_file_is_refused",
    ),
    Mutation(
        "plain: a further file with a refused name proves no other size",
        "src/wire/plain/count.rs",
        "            Evidence::Contests\n",
        "            Evidence::Disproved\n",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: only whole files prove a size before them",
        "src/wire/plain/count.rs",
        "may_follow == Follows::Header && are_files(surplus, Names::After(name))",
        "may_follow == Follows::Header",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: content that looks like a header proves no size while it comes",
        "src/server/plain/contest.rs",
        "            return Ok(false);\n        }\n        let is_contradicted",
        "        }\n        let is_contradicted",
        "--test server a_content_that_looks_like_headers_is_right_or_refused",
    ),
    Mutation(
        "plain: bytes behind the announced size are looked at",
        "src/server/plain.rs",
        "            Follows::Header | Follows::Unknown => Ok(()),\n            Follows::Surplus => Err(",
        "            Follows::Header | Follows::Unknown => Ok(()),\n            Follows::Surplus if self.read > 0 => Ok(()),\n            Follows::Surplus => Err(",
        "--test server what_follows_a_file_and_is_no_file_is_refused",
    ),
    Mutation(
        "plain: a connection that broke is not one that ended",
        "src/server/stream.rs",
        "                self.broken = Some(error.kind());\n",
        "",
        "--test server a_reset_is_never_an_end",
    ),
    Mutation(
        "plain: of several long readings the one whose count fits is committed",
        "src/server/plain/contest.rs",
        "            if self.is_proved(&contender.reading, reader, shared).await? {",
        "            if self.is_proved(&contender.reading, reader, shared).await? || true {",
        "--test server several",
    ),
    Mutation(
        "plain: silence proves no size whose newline may come late",
        "src/wire/plain/header.rs",
        "packet.is_some_and(|end| end > 0 && end < digits);",
        "packet.is_some_and(|end| end > 0);",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: a name with spaces is not cut at its first one",
        "src/wire/plain/header.rs",
        "(None, _) if (is_packet || has_known_extension(name)) && !has_known_extension(line) => {",
        "(None, _) if !has_known_extension(line) => {",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: a name with spaces that is cut behind one is not taken for a name and content",
        "src/wire/plain/header.rs",
        "        if is_packet && has_known_extension(name) || self.options",
        "        if is_packet || self.options",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: a name with spaces and digits that is cut behind one is not taken for a name and content",
        "src/wire/plain/header.rs",
        "            self.check_words(separator, digits)?;\n",
        "",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: a word without content is no file",
        "src/server/plain.rs",
        "            None if self.read == 0 && !self.is_shown_by_name() => {",
        "            None if self.read == 0 && !self.is_shown_by_name() && false => {",
        "--test server a_probe_that_says_a_word_leaves_no_file",
    ),
    Mutation(
        "rules: a version of a name is held to the rule of the name",
        "src/validate/rules/pattern.rs",
        "name.contains('~') && successors(",
        "name.contains('~') && false && successors(",
        "--lib a_version_of_a_name_is_held_to_its_rule",
    ),
    Mutation(
        "push: a receipt for another name is none",
        "src/client/outcome.rs",
        "if receipt.name != upload.key && !is_unnamed {",
        "if false {",
        "--test push a_receipt_for_another_file_is_none",
    ),
    Mutation(
        "plain: a first packet that may be a whole file proves no size",
        "src/wire/plain/count.rs",
        "                (_, LineState::Ended) => self.bytes.len() == self.packet,",
        "                (_, LineState::Ended) => true,",
        "--lib wire::plain",
    ),
    Mutation(
        "plain: silence proves no long reading where more of a line may come",
        "src/server/plain/contest.rs",
        "Err(_elapsed) if self.silence_proves && !is_contradicted",
        "Err(_elapsed) if !is_contradicted",
        "--test server a_count_proves_nothing_where",
    ),
    Mutation(
        "plain: a first packet without a size contradicts the count of a long reading",
        "src/server/plain/contest.rs",
        "if is_end && is_contradicted {",
        "if is_end && is_contradicted && false {",
        "--test server a_count_proves_nothing_where",
    ),
    Mutation(
        "plain: rivals share the name that they are of",
        "src/sink/object/bindings.rs",
        "    spec.contest.as_ref().unwrap_or(&spec.id)",
        "    &spec.id",
        "--lib a_key_belongs_to_one_upload_or_to_rivals",
    ),
    Mutation(
        "ids: an upload under way is not ended for another one",
        "src/ingest/active.rs",
        "            spec.check_continues(&slot.spec, 0)?;\n            let somebody_waits",
        "            let somebody_waits",
        "--test server an_id_that_is_reused_for_another_upload",
    ),
    Mutation(
        "ids: another upload under way is a conflict",
        "src/ingest/active.rs",
        "        spec.check_continues(&slot.spec, 0)?;\n        Err(busy(&spec.id))",
        "        Err(busy(&spec.id))",
        "--test server an_id_that_is_reused_for_another_upload",
    ),
    Mutation(
        "ids: memory keeps what another upload does not go on with",
        "src/sink/memory.rs",
        "            spec.check_continues(&kept.spec, used(kept))?;\n",
        "            let _ = used(kept);\n",
        "--test contract memory::nothing_is_resumed",
    ),
    Mutation(
        "ids: the disk keeps what another upload would begin anew over",
        "src/sink/fs/job.rs",
        "Ok(begun.as_ref().is_none_or(|begun| spec.continues(begun, 0)))",
        "Ok(true)",
        "--test contract fs::nothing_is_resumed_of_another_upload",
    ),
    Mutation(
        "ids: the disk keeps what another upload would go on with",
        "src/sink/fs/job.rs",
        "        spec.check_continues(&begun, offset)?;\n",
        "",
        "--test contract fs::nothing_is_resumed",
    ),
    Mutation(
        "ids: the bucket keeps what another upload would begin anew over",
        "src/sink/object/resume.rs",
        "    if let Some(begun) = &begun {\n        spec.check_continues(begun, 0)?;\n    }\n",
        "",
        "--test contract s3_in_process::nothing_is_resumed_of_another_upload",
    ),
    Mutation(
        "ids: the bucket keeps more than another upload says it has",
        "src/sink/object/resume.rs",
        "    spec.check_continues(begun, kept)?;\n",
        "    let _ = kept;\n",
        "--test contract s3_in_process::nothing_is_resumed_that_is_longer_than_announced",
    ),
    Mutation(
        "ids: what was announced first holds for who goes on",
        "src/upload.rs",
        "            digest: self.digest.or(begun.digest),",
        "            digest: self.digest,",
        "--test contract fs::what_was_announced_holds_to_the_end",
    ),
    Mutation(
        "ids: what was announced first holds for who begins anew on the disk",
        "src/sink/fs/job.rs",
        "            self.spec = Arc::new(UploadSpec::clone(spec).held_to(begun));",
        "            let _ = begun;",
        "--test contract fs::what_was_announced_holds_to_the_end",
    ),
    Mutation(
        "rules: a packed file is held to the rule of its name",
        "src/validate/rules/pattern.rs",
        "    split_compression(name).map(|(name, _)| name)\n",
        "    split_compression(name).map(|(name, _)| name).filter(|_| false)\n",
        "--lib packing_a_file_does_not_take_it_out_of_its_rule",
    ),
    Mutation(
        "rules: an extension matches in either case",
        "src/validate/rules/pattern.rs",
        "self.glob.is_match(name) || self.folded",
        "self.glob.is_match(name) || false && self.folded",
        "--test reload a_file_that_is_packed_or_shouts_is_held_to_its_rule",
    ),
    Mutation(
        "rules: a name that no rule matches is refused where that is wanted",
        "src/validate/rules.rs",
        "applied.rule.is_none() && self.unmatched == Unmatched::Reject",
        "applied.rule.is_none() && false && self.unmatched == Unmatched::Reject",
        "--test reload a_name_that_no_rule_matches_can_be_refused",
    ),
    Mutation(
        "rules: an upload that begins keeps the rule that it was admitted by",
        "src/sink/validated.rs",
        "        let Applied { standard, on_invalid, .. } = applied;\n        let (format, on_invalid) = (standard.format, *on_invalid);\n        let staged",
        "        let _ = applied;\n        let Applied { standard, on_invalid, .. } = &self.admit(&spec.key)?;\n        let (format, on_invalid) = (standard.format, *on_invalid);\n        let staged",
        "--test server one_rule_holds_for_an_upload_from_its_first_look_to_its_end",
    ),
    Mutation(
        "rules: an upload does not go on under other rules",
        "src/validate/stream.rs",
        "        if (version, format) != (VERSION, self.format)\n            || standard != self.standard\n",
        "        if version != VERSION || format == Format::None\n",
        "--test server an_upload_that_began_under_other_rules_begins_anew",
    ),
    Mutation(
        "ledger: a replay is entered with the file and the collector that it is of",
        "src/ingest/outcome.rs",
        "        Self { collector, quarantine: pump.replayed.as_ref().map(ToString::to_string), ..self }",
        "        let _ = (collector, &pump.replayed);\n        Entry::new(self.outcome, &self.name, None)",
        "--test quarantine a_replay_has_a_line_in_the_ledger",
    ),
    Mutation(
        "framed: a sender that waits for a receipt is not idle",
        "src/server/framed.rs",
        "    drop(unwritten.wait_for(|count| *count == 0).await);\n",
        "    let _ = &mut unwritten;\n",
        "--test server a_sender_that_waits_for_a_receipt_is_not_idle",
    ),
    Mutation(
        "framed: a sender that reads no answers is let go",
        "src/server/framed.rs",
        "                () = self.answers.closed() => return Ok(None),\n",
        "",
        "--test server a_sender_that_reads_no_answers_does_not_keep_its_place",
    ),
    Mutation(
        "store: what the store says of itself is for the log alone",
        "src/ingest/outcome.rs",
        "    Error::new(error.kind(), told).because_internal(error)",
        "    Error::new(error.kind(), told).because(error)",
        "--test object senders_and_the_ledger_are_not_told_where_the_store_is",
    ),
    Mutation(
        "disk: a root that is not where it was takes nothing",
        "src/sink/fs.rs",
        "            None if self.tree.stands_at(&self.root) => return Ok(()),",
        "            None if self.tree.stands_at(&self.root) || true => return Ok(()),",
        "--test fs a_root_that_is_not_where_it_was_takes_nothing_until_it_is_back",
    ),
    Mutation(
        "disk: a root that goes during a commit gives no receipt",
        "src/sink/fs/commit.rs",
        "        self.check_found(place.key())?;\n",
        "",
        "--lib a_root_that_goes_while_a_commit_is_under_way_gives_no_receipt",
    ),
    Mutation(
        "disk: an upload is noted on its file although not all of it fits",
        "src/sink/fs/record.rs",
        "Self { content_type: None, meta: Meta::default(), ..self.clone() }",
        "self.clone()",
        "--lib an_upload_is_committed_and_found_again_whatever_fits_on_its_file",
    ),
    Mutation(
        "names: nothing is stored below a file",
        "src/sink/place.rs",
        "        if self.spec.on_conflict != OnConflict::Version {\n",
        "        if false {\n",
        "--test contract fs_folders::no_folder_takes_the_place_of_a_file",
    ),
    Mutation(
        "names: no file replaces a folder",
        "src/sink/place.rs",
        "(OnConflict::Reject | OnConflict::Overwrite, Standing::Obstacle) => Err(refusal::is_folder(&self.key, None)),",
        "(OnConflict::Reject | OnConflict::Overwrite, Standing::Obstacle) => Ok(Step::Replace),",
        "--test contract memory_folders::no_file_takes_the_place_of_a_folder",
    ),
    Mutation(
        "names: what goes beside a file is numbered until it is free or a folder",
        "src/sink/place.rs",
        "if at == depth { number + 1 } else { 2 });",
        "if at == depth { number + 2 } else { 2 });",
        "--test contract memory_folders::every_name_has_the_place_that_a_model_says",
    ),
    Mutation(
        "names: memory keeps no file below a file",
        "src/sink/memory.rs",
        ".find(|folder| objects.contains_key(*folder))",
        ".find(|folder| false && objects.contains_key(*folder))",
        "--test contract memory_folders::files_and_folders_at_once",
    ),
    Mutation(
        "names: memory keeps no file that is a folder",
        "src/sink/memory.rs",
        "    first.as_str().starts_with(&folder).then_some(Standing::Obstacle)",
        "    (false && first.as_str().starts_with(&folder)).then_some(Standing::Obstacle)",
        "--test contract memory_folders::files_and_folders_at_once",
    ),
    Mutation(
        "names: a long name leaves room for its number",
        "src/upload/key/version.rs",
        "const MAX_NUMBER_BYTES: usize = 5;",
        "const MAX_NUMBER_BYTES: usize = 4;",
        "--lib every_version_of_every_name_is_a_key_beside_it",
    ),
    Mutation(
        "names: a long name has a place beside it on the disk",
        "src/upload/key/version.rs",
        "    if component.len() <= room {",
        "    if component.len() <= room || true {",
        "--test contract fs_folders::long_names_have_versions_too",
    ),
    Mutation(
        "names: a cut name is not taken for the whole one",
        "src/sink/object/marks.rs",
        "    (original(key, number)? == *name && ",
        "    (",
        "--lib a_version_leads_back_to_its_name",
    ),
    Mutation(
        "disk: folders that an upload has made for nothing are removed",
        "src/sink/fs/commit.rs",
        "            self.tree.remove(made);",
        "            drop(made);",
        "--lib an_upload_that_fails_leaves_no_folder",
    ),
    Mutation(
        "disk: a folder that vanishes before the rename is made again",
        "src/sink/fs/commit.rs",
        "                Err(Errno::EXIST) => {}\n                Err(Errno::NOENT) => return Ok(None),\n",
        "                Err(Errno::EXIST) => {}\n",
        "--lib a_folder_that_vanishes_is_made_again",
    ),
    Mutation(
        "disk: a folder that vanishes on the way to it is made again",
        "src/sink/fs/tree.rs",
        "                    Errno::NOENT => NoFolder::Vanished,\n",
        "",
        "--lib a_folder_that_vanishes_is_made_again",
    ),
    Mutation(
        "disk: a folder without a file is not remembered to be durable",
        "src/sink/fs/tree.rs",
        "                folder.flushed.push((path.to_owned(), identity));\n",
        "                folder.flushed.push((path.to_owned(), identity));\n                self.remember(&folder);\n",
        "--lib a_folder_is_not_known_to_be_durable_by_an_upload_that_failed",
    ),
    Mutation(
        "disk: an attribute that does not fit keeps no upload from its receipt",
        "src/sink/fs/record.rs",
        "                | Errno::TOOBIG\n",
        "",
        "--lib an_upload_is_committed_and_found_again_whatever_fits_on_its_file",
    ),
    Mutation(
        "disk: an attribute that does not fit is logged",
        "src/sink/fs/record.rs",
        'Err(error) => tracing::warn!(key, %error, "upload not noted on its file: the attribute can\'t be set"),',
        "Err(_) => {}",
        "--lib what_does_not_fit_is_logged",
    ),
    Mutation(
        "push: the end is sent for one state of a file only",
        "src/client.rs",
        "if chunk.is_empty() || tally.size() - looked_at >= LOOK_EVERY_BYTES {",
        "if tally.size() - looked_at >= LOOK_EVERY_BYTES {",
        "--test push whatever_happens_to_a_file",
    ),
    Mutation(
        "push: a large file is looked at on its way",
        "src/client.rs",
        "if chunk.is_empty() || tally.size() - looked_at >= LOOK_EVERY_BYTES {",
        "if chunk.is_empty() {",
        "--test push a_change_of_a_large_file",
    ),
    Mutation(
        "push: a change that sets the time back is seen",
        "src/client/look.rs",
        "changed: (metadata.ctime(), metadata.ctime_nsec()),",
        "changed: (0, 0),",
        "--test push whatever_happens_to_a_file",
    ),
    Mutation(
        "push: what has the name of the file is looked at",
        "src/client/source.rs",
        "Ok(self.look.change(&now, there.as_ref()))",
        "Ok(self.look.change(&now, there.and(Some(self.look)).as_ref()))",
        "--test push a_change_of_a_large_file",
    ),
    Mutation(
        "push: a write within a step of the clock is seen",
        "src/client/source.rs",
        "            tokio::time::sleep(unsure_for).await;\n",
        "",
        "--lib a_file_that_was_just_written",
    ),
    Mutation(
        "push: a file that has changed has a new id",
        "src/client/sender.rs",
        "(upload.id, *attempt) = (UploadId::generate(), Attempt::First);",
        "(upload.id, *attempt) = (upload.id.clone(), Attempt::First);",
        "--test push whatever_happens_to_a_file",
    ),
    Mutation(
        "push: an id brings no other state than the one that it stands for",
        "src/client/sender.rs",
        "        let look = source.last_look();\n",
        "        let look = source.last_look().filter(|_| false);\n",
        "--test push an_id_that_stands_for_the_old_file",
    ),
    Mutation(
        "push: a file that goes on changing is left alone",
        "src/client/sender.rs",
        "            Ok(true) => None,\n            Ok(false) => {",
        "            Ok(_) if !settle.is_zero() => None,\n            Ok(_) => {",
        "--test push a_file_that_goes_on_changing",
    ),
    Mutation(
        "push: what is said of a file that has changed does not count",
        "src/client/sender.rs",
        "Ok(Some(change)) => Ok(Outcome::changed(upload, change)),",
        "Ok(Some(change)) if upload.key.as_str().is_empty() => Ok(Outcome::changed(upload, change)),\n        Ok(Some(_)) => outcome,",
        "--test push what_is_said_of_a_file",
    ),
    Mutation(
        "push: an earlier receipt does not count for a file that has changed",
        "src/client/answered.rs",
        "Ok(Some(change)) => Outcome::changed(upload, change),",
        "Ok(Some(_)) => checked(receipt, &tally),",
        "--test push the_receipt_of_an_earlier_try",
    ),
    Mutation(
        "push: links in a folder are left out",
        "src/cli/push.rs",
        "Links::of(args.follow_links)",
        "Links::of(true)",
        "--test push links_in_a_folder_are_left_out",
    ),
    Mutation(
        "push: links do not lead in circles",
        "src/cli/walk.rs",
        "if self.ancestors.contains(&identity) {",
        "if self.ancestors.len() > 60 {",
        "--test push links_that_are_followed_do_not_lead_in_circles",
    ),
    Mutation(
        "push: a link that takes the place of a file is not followed",
        "src/client/path.rs",
        "flags | OFlags::NOFOLLOW, Mode::empty()",
        "flags, Mode::empty()",
        "--test push a_link_that_takes_the_place_of_a_file",
    ),
    Mutation(
        "push: a question without an answer has a deadline of its own",
        "src/client.rs",
        "match self.answer(upload, self.options.idle_timeout).await? {",
        "match self.answer(upload, self.options.answer_timeout).await? {",
        "--test push a_server_that_does_not_say_how_much_it_has",
    ),
    Mutation(
        "push: a server that does not read has a deadline of its own",
        "src/client/connection.rs",
        "pin!(writer.write(bytes, options.idle_timeout));",
        "pin!(writer.write(bytes, options.answer_timeout));",
        "--test push a_server_that_does_not_read",
    ),
    Mutation(
        "push: a byte more is no progress",
        "src/client/sender.rs",
        "if journey.trail.resumed_at >= reached + PROGRESS_BYTES {",
        "if journey.trail.resumed_at > reached {",
        "--test push a_server_that_claims_a_byte_more",
    ),
    Mutation(
        "terminal: what is printed for people is escaped",
        "src/cli/print.rs",
        '_ = writeln!(io::stderr().lock(), "{}", escape::line(text));',
        '_ = writeln!(io::stderr().lock(), "{text}");',
        "--test push what_a_server_says_is_shown_escaped",
    ),
    Mutation(
        "terminal: what is printed for programs is escaped",
        "src/cli/print.rs",
        '_ = writeln!(io::stdout().lock(), "{}", escape::json(text));',
        '_ = writeln!(io::stdout().lock(), "{text}");',
        "--test push what_a_server_says_is_shown_escaped",
    ),
    Mutation(
        "terminal: a command line that is refused is shown escaped",
        "src/cli.rs",
        "Cli::try_parse_from(shown)",
        "Cli::try_parse_from(shown.zip(std::env::args_os()).map(|(_, raw)| raw))",
        "--test push a_command_line_is_refused",
    ),
    Mutation(
        "terminal: the columns of a table are shown escaped",
        "src/cli/diagnosis.rs",
        'first.push(format!("field {index}, {}", escape::line(name)));',
        'first.push(format!("field {index}, {name}"));',
        "--test push other_commands_show_names",
    ),
    Mutation(
        "bucket: a store that loses a race of completes is told",
        "src/sink/object/probe/race.rs",
        "Self { lost: 1.., .. } => Some(Completes::Lose),",
        "Self { lost: 1.., .. } => Some(Completes::Hold),",
        "--lib a_probe_races_and_says_how_commits_are_guarded",
    ),
    Mutation(
        "bucket: a store that loses a race of PUTs commits nothing under a condition",
        "src/sink/object/probe/race.rs",
        "        self.lost == 0 && self.held > 0",
        "        self.held > 0 || self.lost > 0",
        "--lib a_store_that_loses_puts_too_is_refused_conditional_commits",
    ),
    Mutation(
        "bucket: a large file waits for its claim",
        "src/sink/object/large.rs",
        "        self.claim = self.remote.claim_key(self.claimant()).await?;\n",
        "        self.claim = self.remote.claim_key(self.claimant()).await.ok().flatten();\n",
        "--lib who_finds_a_young_claim_waits_and_then_is_busy",
    ),
    Mutation(
        "bucket: two completes of one key do not race where the store loses them",
        "src/sink/object/large.rs",
        "        self.claim = self.remote.claim_key(self.claimant()).await?;\n",
        "        let _ = self.claimant();\n",
        "--lib of_two_nodes_that_commit_at_once_one_wins",
    ),
    Mutation(
        "bucket: a small file takes a claim, too",
        "src/sink/object/commit.rs",
        "        let claim = self.remote.claim_key(claimant).await?;\n",
        "        let _ = claimant;\n        let claim: Option<super::key_claims::KeyClaim> = None;\n",
        "--lib who_finds_a_young_claim_waits_and_then_is_busy",
    ),
    Mutation(
        "bucket: the owner of an old claim can complete no more before it is taken over",
        "src/sink/object/key_claims.rs",
        "        self.fence(&record).await?;\n",
        "",
        "--lib an_old_claim_is_taken_over_and_its_owner_can_complete_no_more",
    ),
    Mutation(
        "bucket: a young claim is not taken over",
        "src/sink/object/key_claims.rs",
        "        if age < record.ttl() {\n",
        "        if age < Duration::ZERO {\n",
        "--lib who_finds_a_young_claim_waits_and_then_is_busy",
    ),
    Mutation(
        "bucket: claims that were removed meanwhile are not gone on with",
        "src/sink/object/key_claims.rs",
        "ClaimState::Mine(record, age) if generation == 1 || self.is_still(folder, first.as_ref()).await? => {",
        "ClaimState::Mine(record, age) if generation == 1 || self.is_still(folder, first.as_ref()).await.is_ok() => {",
        "--lib who_took_over_from_a_claim_that_was_replaced_begins_again",
    ),
    Mutation(
        "bucket: races on SeaweedFS have one winner",
        "src/sink/object/remote.rs",
        "        self.can_create() && self.complete.get() != Some(&Completes::Hold)\n",
        "        false\n",
        "--test racing_stores seaweedfs",
    ),
    Mutation(
        "bucket: a store that hides is told",
        "src/sink/object/probe/hiding.rs",
        "            let _ = known.set(hides);\n",
        "            let _ = known.set(false && hides);\n",
        "--lib a_probe_tells_whether_the_store_hides",
    ),
    Mutation(
        "bucket: nothing is stored below a file where the store would hide it",
        "src/sink/object/folders.rs",
        "file.map(InTheWay::File).or(below",
        "file.map(InTheWay::File).filter(|_| false).or(below",
        "--lib the_second_comer_is_told_what_is_in_its_way",
    ),
    Mutation(
        "bucket: no file is stored over a folder where the store would hide that",
        "src/sink/object/folders.rs",
        ".or(below.map(InTheWay::Below))",
        ".or(below.map(InTheWay::Below).filter(|_| false))",
        "--lib the_second_comer_is_told_what_is_in_its_way",
    ),
    Mutation(
        "bucket: a file and one below it take turns in one server",
        "src/sink/object/folders.rs",
        "            way.turns.push(self.names.take(folder).await);\n",
        "            let _ = self.names.take(folder);\n",
        "--lib what_comes_below_a_file_on_its_way_waits_in_one_server",
    ),
    Mutation(
        "bucket: who has stored a file looks back for what came below it",
        "src/sink/object/folders.rs",
        "        let noted = self.remote.noted_below(&self.key).await.map_err(blind)?;\n",
        "        let noted: Option<InTheWay> = None;\n        let _ = blind;\n",
        "--lib of_a_file_and_one_below_it_at_two_servers_one_has_a_receipt",
    ),
    Mutation(
        "bucket: the first file of a folder is noted",
        "src/sink/object/folders.rs",
        "            if self.one_below(folder).await?.is_none() {\n",
        "            if false {\n",
        "--lib of_a_file_and_one_below_it_at_two_servers_one_has_a_receipt",
    ),
    Mutation(
        "ledger: no line is written while its root is lost",
        "src/ledger/folder.rs",
        "        if !self.stands() {\n",
        "        if false && !self.stands() {\n",
        "--test ledger a_root_that_was_moved_away_is_not_made_anew_and_comes_back_whole",
    ),
    Mutation(
        "ledger: the root is never made",
        "src/ledger/folder.rs",
        "            (None, Base::Root(_)) => self.first()?,\n            (None, Base::Parent(parent)) => {\n",
        "            (None, Base::Root(parent) | Base::Parent(parent)) => {\n",
        "--lib a_folder_below_a_root_is_made_as_long_as_the_root_is_the_same",
    ),
    Mutation(
        "rules: a rule for one case does not shadow one for either",
        "src/validate/rules/shadow.rs",
        "    if earlier.rule.match_case == MatchCase::Exact && later.rule.match_case == MatchCase::Ignored {\n",
        "    if false {\n",
        "--lib a_rule_below_one_that_matches_as_much_is_found",
    ),
]


def main(arguments):
    root = pathlib.Path(__file__).resolve().parent.parent
    lost = [m for m in MUTATIONS if (root / m.file).read_text().count(m.old) != 1]
    for mutation in lost:
        print(f"lost      {mutation.name}: {mutation.file} does not hold, once, what it takes out")
    if lost or arguments == ["--check"]:
        return 1 if lost else 0
    wanted = [m for m in MUTATIONS if not arguments or any(m.name.startswith(a) for a in arguments)]
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "tidegate"
        subprocess.run(["git", "clone", "--quiet", str(root), str(copy)], check=True)
        survivors = [m.name for m in wanted if not notices(copy, root / "target" / "mutations", m)]
    print(f"{len(wanted) - len(survivors)} of {len(wanted)} noticed")
    return 1 if survivors else 0


def notices(copy, target, mutation):
    """Whether the test fails, and fails for it: it must compile, and pass where nothing is taken out (CI sees to that)."""
    path = copy / mutation.file
    whole = path.read_text()
    path.write_text(whole.replace(mutation.old, mutation.new))
    often = {**os.environ, "TIDEGATE_TRIES": "60"}
    command = ["cargo", "test", "--quiet", "--target-dir", str(target), *mutation.test.split()]
    try:
        compiled = subprocess.run([*command[:2], "--no-run", *command[2:]], cwd=copy, capture_output=True, text=True)
        if compiled.returncode != 0:
            print(f"broken    {mutation.name}: it does not compile\n{compiled.stderr}")
            return False
        ran = subprocess.run(command, cwd=copy, env=often, capture_output=True, text=True)
    finally:
        path.write_text(whole)
    failed = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("test ") and line.endswith("... FAILED")]
    named = failed or [line.strip() for line in ran.stdout.splitlines() if line.startswith("    ") and "::" in line]
    print(f"{'noticed ' if ran.returncode else 'SURVIVED'}  {mutation.name}: {', '.join(sorted(set(named))[:4])}", flush=True)
    return ran.returncode != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
