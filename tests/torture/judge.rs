//! The law, held against what lies there when everything is over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::time::Instant;

use tidegate::upload::Digest;

use crate::beds::Bed;
use crate::book::{Answer, Upload};
use crate::files::name_of;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    uploads: usize,
    receipts: usize,
    duplicates: usize,
    rejected: usize,
    left: usize,
    /// Receipts that are not honoured.
    lost: Vec<String>,
    /// The same content twice under one name.
    doubled: Vec<String>,
    /// What stands there although nobody has sent it so.
    partial: Vec<String>,
    /// What interrupted uploads have left.
    litter: Vec<String>,
    /// Answers that were not true.
    untrue: Vec<String>,
}

/// Judges what lies on the bed by what the book says.
pub(crate) async fn verdict(bed: &Bed, folder: &Path, uploads: &[Upload]) -> Verdict {
    let mut verdict = Verdict { uploads: uploads.len(), litter: bed.litter(folder).await, ..Verdict::default() };
    let mut sent: HashMap<(&str, Digest), &Upload> = HashMap::new();
    for upload in uploads.iter().filter(|upload| upload.job.content.kind.is_valid()) {
        sent.insert((&upload.job.name, upload.job.digest), upload);
    }
    let mut standing = BTreeMap::new();
    let mut once = HashSet::new();
    for key in bed.visible(folder).await {
        let bytes = bed.read(folder, &key).await;
        let (name, digest) = (name_of(&key), Digest::of(&bytes));
        match sent.get(&(name.as_str(), digest)) {
            Some(upload) if upload.job.content.make() == bytes => {}
            Some(_) | None => verdict.partial.push(format!("{key}: {} bytes, {digest}", bytes.len())),
        }
        if !once.insert((name, digest)) {
            verdict.doubled.push(format!("{key}: {digest}"));
        }
        standing.insert(key, digest);
    }
    for upload in uploads {
        verdict.hear(upload, &standing);
    }
    verdict.lost.extend(overwritten_wrongly(uploads, &standing));
    verdict
}

impl Verdict {
    /// Holds what a sender was told against what stands.
    fn hear(&mut self, upload: &Upload, standing: &BTreeMap<String, Digest>) {
        let job = &upload.job;
        let stands = |key: &str| standing.get(key) == Some(&job.digest);
        match &upload.answer {
            None => self.left += 1,
            Some((Answer::Receipt { key, duplicate }, _)) => {
                self.receipts += 1;
                self.duplicates += usize::from(*duplicate);
                let is_overwritten = job.name.starts_with("overwrite/");
                if !job.content.kind.is_valid() || name_of(key) != job.name {
                    self.untrue.push(format!("{} has a receipt for {key}", job.name));
                } else if !(stands(key) || is_overwritten && standing.contains_key(key)) {
                    self.lost.push(format!("{key}: {}", job.digest));
                }
            }
            Some((Answer::Rejected { code }, _)) => {
                self.rejected += 1;
                let is_just = match code.as_str() {
                    "invalid" => !job.content.kind.is_valid(),
                    "conflict" => job.name.starts_with("reject/") && standing.contains_key(&job.name) && !stands(&job.name),
                    _ => false,
                };
                if !is_just {
                    self.untrue.push(format!("{} was rejected: {code}", job.name));
                }
            }
        }
    }

    /// What is wrong; nothing, where nothing is.
    pub(crate) fn problems(&self) -> Option<String> {
        let kinds = [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("partial", &self.partial),
            ("litter", &self.litter),
            ("untrue", &self.untrue),
        ];
        let lines: Vec<_> =
            kinds.into_iter().flat_map(|(kind, all)| all.iter().map(move |what| format!("{kind}: {what}"))).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uploads, receipts, duplicates, rejected, left, .. } = self;
        write!(f, "uploads {uploads}, receipts {receipts}, duplicates {duplicates}, rejected {rejected}, left {left}, ")?;
        let Self { lost, doubled, partial, litter, untrue, .. } = self;
        let [lost, doubled, partial, litter, untrue] = [lost, doubled, partial, litter, untrue].map(Vec::len);
        write!(f, "lost {lost}, doubled {doubled}, partial {partial}, litter {litter}, untrue {untrue}")
    }
}

/// Contents that stand where they can't: a content with a receipt came after them for certain, as it was begun when the last
/// upload of theirs had long been answered.
fn overwritten_wrongly(uploads: &[Upload], standing: &BTreeMap<String, Digest>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, stands) in standing.iter().filter(|(key, _)| key.starts_with("overwrite/")) {
        let of_key = || uploads.iter().filter(|upload| upload.job.name == *key);
        // Without an answer, an upload may have taken effect at any later time.
        let ends = of_key().filter(|upload| upload.job.digest == *stands).map(|upload| match &upload.answer {
            Some((_, at)) if !upload.has_lost_answers => Some(*at),
            Some(_) | None => None,
        });
        let last: Option<Instant> = ends.collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max());
        let Some(last) = last else { continue };
        let later = of_key().filter(|upload| upload.job.digest != *stands && upload.begun > last);
        let receipts = later.filter(|upload| matches!(upload.answer, Some((Answer::Receipt { .. }, _))));
        wrong.extend(receipts.map(|upload| format!("{key}: {} was overwritten by what came before it", upload.job.digest)));
    }
    wrong
}

/// A judge that finds nothing wrong proves nothing, unless it does where something is.
#[tokio::test]
async fn the_judge_finds_what_is_wrong() {
    use crate::common::chance::Chance;
    use crate::files::{Job, Sizes};

    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let mut chance = Chance::new(7);
    let mut valid =
        || std::iter::repeat_with(|| Job::fresh(&mut chance, Sizes::Small)).find(|job| job.content.kind.is_valid());
    let jobs: Vec<Job> = (0..4).map(|_| valid().unwrap()).collect();
    let receipt = |job: &Job| Answer::Receipt { key: job.name.clone(), duplicate: false };
    let upload = |job: &Job, answer: Option<Answer>| Upload {
        job: job.clone(),
        begun: Instant::now(),
        has_lost_answers: answer.is_none(),
        answer: answer.map(|answer| (answer, Instant::now())),
        is_under_way: false,
    };
    let put = |key: &str, bytes: &[u8]| {
        std::fs::create_dir_all(store.join(key).parent().unwrap()).unwrap();
        std::fs::write(store.join(key), bytes).unwrap();
    };
    let [kept, gone, cut, unanswered] = jobs.as_slice() else { unreachable!("there are four") };
    let mut uploads = vec![upload(kept, Some(receipt(kept))), upload(unanswered, None)];
    put(&kept.name, &kept.content.make());
    put(&unanswered.name, &unanswered.content.make());
    let found = verdict(&Bed::folder(), folder.path(), &uploads).await;
    assert_eq!(found.problems(), None);

    uploads.extend([upload(gone, Some(receipt(gone))), upload(cut, None)]);
    let conflict = Answer::Rejected { code: "conflict".to_owned() };
    uploads.push(upload(kept, Some(conflict)));
    let bytes = cut.content.make();
    put(&cut.name, &bytes[..bytes.len() / 2]);
    let (stem, extension) = kept.name.split_once('.').unwrap();
    put(&format!("{stem}~2.{extension}"), &kept.content.make());
    put(".tidegate/staging/left", b"");
    let found = verdict(&Bed::folder(), folder.path(), &uploads).await;
    let counts = [&found.lost, &found.doubled, &found.partial, &found.litter, &found.untrue].map(Vec::len);
    assert_eq!(counts, [1, 1, 1, 1, 1], "{found:?}");
}

/// What was overwritten stays so, unless somebody may have sent it again.
#[test]
fn the_judge_finds_what_was_overwritten_by_what_came_before() {
    use crate::common::chance::Chance;
    use crate::files::{Job, Sizes};

    let mut chance = Chance::new(7);
    let mut named = || Job { name: "overwrite/0.bin".to_owned(), ..Job::fresh(&mut chance, Sizes::Small) };
    let (first, second) = (named(), named());
    let start = Instant::now();
    let at = |seconds| start + std::time::Duration::from_secs(seconds);
    let upload = |job: &Job, begun, answered, has_lost_answers| Upload {
        job: job.clone(),
        begun: at(begun),
        has_lost_answers,
        answer: Some((Answer::Receipt { key: job.name.clone(), duplicate: false }, at(answered))),
        is_under_way: false,
    };
    let standing = BTreeMap::from([(first.name.clone(), first.digest)]);
    let wrong = |uploads: &[Upload]| overwritten_wrongly(uploads, &standing).len();
    let (one, later) = (upload(&first, 0, 1, false), upload(&second, 2, 3, false));
    assert_eq!(wrong(&[one.clone(), later.clone()]), 1);
    assert_eq!(wrong(&[one.clone(), upload(&second, 0, 3, false)]), 0);
    assert_eq!(wrong(&[one, later.clone(), upload(&first, 2, 4, false)]), 0);
    assert_eq!(wrong(&[upload(&first, 0, 1, true), later]), 0);
}
