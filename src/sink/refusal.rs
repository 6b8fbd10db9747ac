//! The refusals where something is in the way of a key, worded once for all sinks: each names it
//! and says what to do.

use crate::error::{Error, ErrorKind};
use crate::upload::Key;

/// Other content has the key.
pub(crate) fn taken(key: &Key) -> Error {
    conflict(&format!("{:?} is taken by other content", key.as_str()), key.as_str())
}

/// Other content has the key and every version of it.
pub(crate) fn versions_taken(key: &Key) -> Error {
    conflict(&format!("{:?} and every version beside it are taken by other content", key.as_str()), key.as_str())
}

/// The key is a folder, which `holds` a file, or else a link or the like.
pub(crate) fn is_folder(key: &Key, holds: Option<&str>) -> Error {
    let name = key.as_str();
    let cause = match holds {
        Some(file) => format!("{name:?} is a folder that holds {file:?}, and no file replaces it"),
        None => format!("{name:?} is a folder, a link or the like, and no file replaces it"),
    };
    conflict(&cause, name)
}

/// An ancestor of the key is a file.
pub(crate) fn below_file(key: &Key, file: &str) -> Error {
    conflict(&format!("{:?} can't be stored below {file:?}, which is no folder", key.as_str()), file)
}

fn conflict(cause: &str, in_the_way: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("{cause}: send it under another name, or move {in_the_way:?} away"))
}
