//! The outcome for the files of a sender.

use std::collections::BTreeMap;

use tidegate::upload::Digest;

/// A file that a sender means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All files are stored as they were meant, and answered so where the answer was read.
    Right,
    /// Not all files are stored, and those that are are right.
    Refused,
    /// Something else is stored, or an answer is not true.
    Wrong(String),
}

/// The stored files of each sender, whose names begin with a folder of their own.
#[derive(Debug)]
pub(crate) struct Stored(BTreeMap<String, BTreeMap<String, Vec<u8>>>);

impl Stored {
    pub(crate) fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        let mut by_folder = BTreeMap::<_, BTreeMap<_, _>>::new();
        for (name, content) in files {
            let folder = name.split('/').next().unwrap_or_default().to_owned();
            by_folder.entry(folder).or_default().insert(name, content);
        }
        Self(by_folder)
    }

    /// Takes what the sender with this folder has stored.
    pub(crate) fn take(&mut self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        self.0.remove(folder).unwrap_or_default()
    }

    /// Files that no sender can have meant.
    pub(crate) fn rest(&self) -> Vec<&String> {
        self.0.values().flat_map(BTreeMap::keys).collect()
    }
}

/// Holds what is stored and what was answered against what was meant. `answer` is what a sender has
/// read to the end.
pub(crate) fn judge(files: &[File], stored: &BTreeMap<String, Vec<u8>>, answer: Option<&str>) -> Verdict {
    for (name, content) in stored {
        if !files.iter().any(|file| file.name == *name && file.content == *content) {
            let shown = content[..content.len().min(60)].escape_ascii();
            return Verdict::Wrong(format!(
                "{name:?} is stored with {} bytes: \"{shown}\"; answer {answer:?}",
                content.len()
            ));
        }
    }
    let expected = files.iter().filter(|file| stored.contains_key(&file.name)).map(ok_line).collect::<String>();
    let is_all = stored.len() == files.len();
    match answer.map(|answer| answer.strip_prefix(&expected)) {
        None | Some(Some("")) if is_all => Verdict::Right,
        None => Verdict::Refused,
        Some(Some(rest)) if !is_all && rest.starts_with("ERR ") && rest.lines().count() == 1 => Verdict::Refused,
        Some(_) => Verdict::Wrong(format!("{:?} stored, and answered {answer:?}", stored.keys())),
    }
}

fn ok_line(file: &File) -> String {
    format!("OK {} {} {}\n", file.name, file.content.len(), Digest::of(&file.content))
}
